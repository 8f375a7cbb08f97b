import { describe, expect, test } from "vitest";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import { throwing, when } from "#host-agent/drivers/simulated/faults.ts";
import { runAt } from "#host-agent/drivers/simulated/guest.ts";
import { strikeVm } from "#host-agent/drivers/simulated/host-events.ts";
import { createTestHost, type TestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";

const HOUR = 3_600_000;
const powerOf = async ({ world, agent, clock }: TestHost, vmId: string) => {
  await agent.pass();
  const vm = await world.vm(vmId);
  return vm === null ? "gone" : runAt(vm, clock.now().getTime()) === null ? "off" : "on";
};

describe("a pass", () => {
  test("makes a new VM run and reports it with its guest", async () => {
    const { plane, agent, world } = createTestHost();
    const vm = aDesiredVm({ hostname: "new.example" });
    plane.want([vm]);
    await agent.pass();
    expect(plane.last(vm.vmId)).toMatchObject({
      generation: 1,
      ownerEpoch: 1,
      settled: true,
      error: null,
      observed: { power: "running", size: vm.size, guest: { hostname: "new.example" } },
    });
    expect((await world.vm(vm.vmId))?.starts).toBe(1);
    expect(plane.reports.at(0)?.facts).toMatchObject({ hypervisor: "kvm" });
  });

  test("repeated changes nothing and reports what is", async () => {
    const { plane, agent, world } = createTestHost();
    const vm = aDesiredVm();
    plane.want([vm]);
    await agent.pass();
    const before = await world.vm(vm.vmId);
    plane.reports.length = 0;
    await agent.pass();
    expect(await world.vm(vm.vmId)).toEqual(before);
    expect(plane.last(vm.vmId)).toMatchObject({ settled: true, observed: { power: "running" } });
  });

  test.each([
    { code: "unsupported", ends: "on", starts: 1 },
    { code: "must_be_off", ends: "on", starts: 2 },
  ] as const)(
    "a resize of a running VM that is refused as $code is started $starts times in all",
    async ({ code, ends, starts }) => {
      const refused = when(
        { operation: "resize" },
        throwing(new DriverError(code, "a disk with checkpoints cannot grow")),
        code === "must_be_off" ? 1 : Infinity,
      );
      const host = createTestHost({ driver: { faults: refused } });
      const vm = aDesiredVm();
      host.plane.want([vm]);
      await host.agent.pass();
      host.plane.change(vm.vmId, { size: { ...vm.size, diskGib: 5 } });
      for (let n = 0; n < 3; n++) expect(await powerOf(host, vm.vmId)).toBe(ends);
      expect((await host.world.vm(vm.vmId))?.starts).toBe(starts);
      expect(host.plane.last(vm.vmId)).toMatchObject(
        code === "unsupported"
          ? { settled: false, error: { code }, observed: { power: "running" } }
          : { settled: true, observed: { size: { diskGib: 5 } } },
      );
    },
  );

  test.each([
    { what: "memory", more: { memoryMib: 256 }, starts: 1 },
    { what: "vCPUs", more: { vcpus: 2 }, starts: 2 },
  ])(
    "a VM on Hyper-V that gets more $what is started $starts times in all",
    async ({ more, starts }) => {
      const host = createTestHost({ driver: { hypervisor: "hyperv" } });
      const vm = aDesiredVm();
      host.plane.want([vm]);
      await host.agent.pass();
      host.plane.change(vm.vmId, { size: { ...vm.size, ...more } });
      for (let n = 0; n < 3; n++) await host.agent.pass();
      expect(host.plane.last(vm.vmId)).toMatchObject({
        settled: true,
        observed: { power: "running", size: { ...vm.size, ...more } },
      });
      expect((await host.world.vm(vm.vmId))?.starts).toBe(starts);
    },
  );

  test.each([
    { what: "asked first, while it runs", hypervisor: "hyperv", starts: 1 },
    { what: "only once it is off", hypervisor: "kvm", starts: 2 },
  ] as const)(
    "a growth that the driver refuses for good, $what: the VM runs",
    async ({ hypervisor, starts }) => {
      const detail = "a disk with checkpoints cannot grow";
      const faults = when(
        { operation: "resize" },
        throwing(new DriverError("unsupported", detail)),
        Infinity,
      );
      const host = createTestHost({ driver: { hypervisor, faults } });
      const vm = aDesiredVm();
      host.plane.want([vm]);
      await host.agent.pass();
      host.plane.change(vm.vmId, { size: { ...vm.size, memoryMib: 256, diskGib: 5 } });
      for (let n = 0; n < 5; n++) await host.agent.pass();
      expect(await powerOf(host, vm.vmId)).toBe("on");
      expect((await host.world.vm(vm.vmId))?.starts).toBe(starts);
      expect(host.plane.last(vm.vmId)).toMatchObject({
        settled: false,
        error: { code: "unsupported" },
        observed: { power: "running", size: vm.size },
      });
    },
  );

  // 4b A7: a delete does not wait for the guest.
  test.each([
    { what: "a shutdown that its guest does not hear", asks: { power: "off" } },
    { what: "a guest that says nothing", asks: null },
  ] as const)("that is to remove a VM waits for no end of $what", async ({ asks }) => {
    const delays = { ...NO_DELAYS, gracefulStop: null, guestReady: HOUR };
    const host = createTestHost({ driver: { delays } });
    const vm = aDesiredVm({ stopMode: "graceful" });
    host.plane.want([vm]);
    await host.agent.pass();
    if (asks) host.plane.change(vm.vmId, asks);
    expect(await powerOf(host, vm.vmId)).toBe("on");
    const before = host.clock.now();
    host.plane.change(vm.vmId, { presence: "absent" });
    expect(await powerOf(host, vm.vmId)).toBe("gone");
    expect(host.clock.now()).toEqual(before);
    expect(host.plane.last(vm.vmId)).toMatchObject({ observed: null, settled: true });
  });

  test("a growth that fails once, with the VM off, is tried again", async () => {
    const host = createTestHost({
      driver: { hypervisor: "kvm", faults: when({ operation: "resize" }, throwing(), 1) },
    });
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    const size = { ...vm.size, memoryMib: 256 };
    host.plane.change(vm.vmId, { size });
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({
      settled: false,
      error: { code: "driver_failed" },
      observed: { power: "off" },
    });
    await host.clock.advance(60_000);
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({
      settled: true,
      observed: { power: "running", size },
    });
  });

  test("tells what the host is at first, and again when five minutes have passed", async () => {
    const { plane, agent, clock } = createTestHost();
    plane.want([]);
    const told = async () => {
      await agent.pass();
      return plane.reports.filter((report) => report.facts !== null).length;
    };
    expect(await told()).toBe(1);
    await clock.advance(5 * 60_000 - 1);
    expect(await told()).toBe(1);
    await clock.advance(1);
    expect(await told()).toBe(2);
  });

  test("rung for by a doorbell reports only what is news", async () => {
    const { plane, agent } = createTestHost();
    const [old, fresh] = [aDesiredVm(), aDesiredVm()];
    plane.want([old]);
    await agent.pass();
    plane.reports.length = 0;
    plane.want([old, fresh]);
    await agent.pass({ full: false });
    expect(plane.reports.flatMap((report) => report.vms).map((vm) => vm.vmId)).toEqual([
      fresh.vmId,
    ]);
  });

  test("tells of tagged VMs that nobody named, and leaves them as they are", async () => {
    const { plane, agent, world } = createTestHost();
    const vm = aDesiredVm({ ownerEpoch: 7 });
    plane.want([vm]);
    await agent.pass();
    plane.want([]);
    await agent.pass();
    expect(plane.reports.at(-1)?.strangers).toEqual([
      expect.objectContaining({ vmId: vm.vmId, ownerEpoch: 7, power: "running" }),
    ]);
    expect((await world.vm(vm.vmId))?.run).not.toBeNull();
  });

  test("leaves a VM of another owner epoch alone and says so", async () => {
    const { plane, agent, world } = createTestHost();
    const vm = aDesiredVm({ ownerEpoch: 2 });
    plane.want([vm]);
    await agent.pass();
    plane.change(vm.vmId, { ownerEpoch: 3, presence: "absent" });
    await agent.pass();
    expect(plane.last(vm.vmId)).toMatchObject({ settled: false, error: { code: "stale_epoch" } });
    expect((await world.vm(vm.vmId))?.run).not.toBeNull();
  });

  test("destroys a VM, says that it is gone, and keeps its disk in the trash for a week", async () => {
    const host = createTestHost();
    const { plane, agent, world, clock } = host;
    const vm = aDesiredVm();
    plane.want([vm]);
    await agent.pass();
    plane.change(vm.vmId, { presence: "absent" });
    await agent.pass();
    expect(plane.last(vm.vmId)).toMatchObject({ generation: 2, settled: true, observed: null });
    await clock.advance(7 * 24 * HOUR);
    expect(await agent.emptyTrash()).toBe(0);
    await clock.advance(1000);
    expect(await agent.emptyTrash()).toBe(1);
    expect(await world.trash()).toEqual([]);
  });

  test("stops a VM gracefully, cuts a deaf one off after 90 s, and meanwhile waits without hurry", async () => {
    const deaf = createTestHost({ driver: { delays: { ...NO_DELAYS, gracefulStop: null } } });
    const vm = aDesiredVm();
    deaf.plane.want([vm]);
    await deaf.agent.pass();
    deaf.plane.change(vm.vmId, { power: "off" });
    await deaf.agent.pass();
    expect(deaf.plane.last(vm.vmId)).toMatchObject({
      settled: false,
      observed: { power: "running" },
    });
    await deaf.clock.advance(89_000);
    expect(deaf.plane.last(vm.vmId)?.observed?.power).toBe("running");
    await deaf.clock.advance(12_000);
    expect(deaf.plane.last(vm.vmId)).toMatchObject({ settled: true, observed: { power: "off" } });
  });

  test("asks a guest first, however long its VM was in trouble before", async () => {
    const host = createTestHost({
      driver: {
        delays: { ...NO_DELAYS, gracefulStop: null },
        faults: when({ operation: "resize" }, throwing(), Infinity),
      },
    });
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    host.plane.change(vm.vmId, { size: { ...vm.size, memoryMib: 256 } });
    await host.agent.pass();
    await host.clock.advance(10 * 60_000);
    expect(host.plane.last(vm.vmId)).toMatchObject({
      settled: false,
      observed: { power: "running" },
    });
    host.plane.change(vm.vmId, { size: vm.size, power: "off" });
    await host.agent.pass();
    await host.clock.advance(80_000);
    expect(host.plane.last(vm.vmId)?.observed?.power).toBe("running");
    await host.clock.advance(30_000);
    expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, observed: { power: "off" } });
  });

  test("stops a VM for a size that it cannot take while it runs, and starts it again", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    // More than four times what it was started with: the driver refuses it hot, whatever it declares.
    const size = { vcpus: 5, memoryMib: 1024, diskGib: 2 };
    host.plane.change(vm.vmId, { size });
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({
      settled: true,
      observed: { power: "running", size },
    });
    expect((await host.world.vm(vm.vmId))?.starts).toBe(2);
    // A hot growth needs no restart.
    host.plane.change(vm.vmId, { size: { ...size, vcpus: 6 } });
    await host.agent.pass();
    expect((await host.world.vm(vm.vmId))?.starts).toBe(2);
    expect(host.plane.last(vm.vmId)?.observed?.size.vcpus).toBe(6);
  });

  test("sees the guest as soon as it is up, without another doorbell", async () => {
    const host = createTestHost({ driver: { delays: { ...NO_DELAYS, guestReady: 3500 } } });
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    expect(host.plane.last(vm.vmId)).toMatchObject({ observed: { power: "running", guest: null } });
    await host.clock.advance(4000);
    expect(host.plane.last(vm.vmId)?.observed?.guest).not.toBeNull();
    await host.clock.advance(60_000);
    const seenOnce = host.plane.reports.filter((report) =>
      report.vms.some((v) => v.observed?.guest),
    );
    expect(seenOnce).toHaveLength(1);
  });

  test("goes back to work when a VM dies by itself", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    await strikeVm(host.world, vm.vmId, "powers_off");
    expect(await powerOf(host, vm.vmId)).toBe("on");
  });
});
