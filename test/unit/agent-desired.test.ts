import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { runAt } from "#host-agent/drivers/simulated/guest.ts";
import { rebootHost } from "#host-agent/drivers/simulated/host-events.ts";
import { createTestHost, type TestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm, randomIds } from "#test/drivers/builders.ts";
import { unreachable } from "#test/drivers/fake-control-plane.ts";

const HOUR = 3_600_000;
const powerOf = async ({ world, agent, clock }: TestHost, vmId: string) => {
  await agent.pass();
  const vm = await world.vm(vmId);
  return vm === null ? "gone" : runAt(vm, clock.now().getTime()) === null ? "off" : "on";
};

describe("the desired document", () => {
  test.each([
    ["older_generation", (d: Doc) => ({ ...d, generation: d.generation - 1 })],
    ["same_generation_other_hash", (d: Doc) => withVms(d, [])],
    ["wrong_hash", (d: Doc) => ({ ...d, generation: d.generation + 1, vms: [] })],
    ["wrong_host", (d: Doc) => ({ ...withVms(d, []), generation: 9, hostId: randomUUID() })],
  ] as const)("of %s is never applied, and is told", async (reason, forge) => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([]);
    host.plane.want([vm]);
    await host.agent.pass();
    const honest = host.plane.document();
    host.plane.sendInstead = forge(honest);
    await host.agent.pass();
    expect(host.plane.reports.at(-1)?.refusedDesired).toMatchObject({ reason });
    expect(host.plane.reports.at(-1)?.desiredGeneration).toBe(honest.generation);
    expect(host.plane.reports.at(-1)?.strangers).toEqual([]);
    expect(await powerOf(host, vm.vmId)).toBe("on");
    host.plane.sendInstead = null;
    await host.agent.pass();
    expect(host.plane.reports.at(-1)?.refusedDesired).toBeUndefined();
  });

  test("that is refused is told by a pass that finds no other news, and so is the end of it", async () => {
    const host = createTestHost();
    host.plane.want([]);
    const old = host.plane.document();
    host.plane.want([aDesiredVm()]);
    await host.agent.pass();
    const told = async () => {
      host.plane.reports.length = 0;
      await host.agent.pass({ full: false });
      return host.plane.reports.map(({ refusedDesired }) => refusedDesired?.reason);
    };
    expect(await told()).toEqual([]);
    host.plane.sendInstead = old;
    expect(await told()).toEqual(["older_generation"]);
    host.plane.sendInstead = null;
    expect(await told()).toEqual([undefined]);
    expect(await told()).toEqual([]);
  });

  test("that names a VM no more leaves it as it is, and what it was is told, also after a restart", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    host.plane.want([]);
    await host.agent.pass();
    const was = {
      hostname: vm.hostname,
      imageId: vm.image.id,
      size: vm.size,
      address: vm.nics[0]?.ipv4.address,
    };
    const told = () => host.plane.reports.at(-1)?.strangers;
    expect(told()).toMatchObject([{ vmId: vm.vmId, was }]);
    host.restart();
    await host.agent.pass();
    expect(told()).toMatchObject([{ vmId: vm.vmId, was }]);
    host.plane.want([vm]);
    await host.agent.pass();
    expect(told()).toEqual([]);
    expect(await powerOf(host, vm.vmId)).toBe("on");
  });

  test("that was never had leaves every VM as it is, and calls none a stranger", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    await host.store.remove("desired-2.json");
    host.restart();
    host.plane.reports.length = 0;
    const pull = host.plane.desired.bind(host.plane);
    host.plane.desired = () => Promise.reject(unreachable());
    expect(await powerOf(host, vm.vmId)).toBe("on");
    expect(host.plane.reports.flatMap((report) => report.strangers)).toEqual([]);
    host.plane.desired = pull;
    expect(await powerOf(host, vm.vmId)).toBe("on");
    expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true });
  });

  test("that names a VM again, as it was, has it told again", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    for (const wanted of [[vm], [], [vm]]) {
      host.plane.reports.length = 0;
      host.plane.want(wanted);
      await host.agent.pass({ full: false });
    }
    expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true });
  });

  test("of an older generation is refused after a restart too", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([{ ...vm, presence: "absent" }]);
    const old = host.plane.document();
    host.plane.want([vm]);
    await host.agent.pass();
    host.plane.sendInstead = old;
    host.restart();
    expect(await powerOf(host, vm.vmId)).toBe("on");
    expect(host.errors).toContain("desired_refused");
  });

  test("holds while the control plane is away, over a restart and a host reboot", async () => {
    const host = createTestHost();
    const vm = aDesiredVm();
    host.plane.want([vm]);
    await host.agent.pass();
    host.plane.outage = unreachable();
    await rebootHost(host.world, { autostart: false, now: host.clock.now(), ids: randomIds });
    host.restart();
    expect(await powerOf(host, vm.vmId)).toBe("on");
  });
});

type Doc = ReturnType<TestHost["plane"]["document"]>;
const withVms = (document: Doc, vms: Doc["vms"]): Doc => ({
  ...document,
  vms,
  // Of an empty list, as the control plane would make it.
  hash: "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
});

describe("an entitlement", () => {
  test("that lapses stops the VM after its grace, with the control plane away", async () => {
    const host = createTestHost();
    const until = new Date(host.clock.now().getTime() + HOUR).toISOString();
    const vm = aDesiredVm({ entitledUntil: until });
    host.plane.want([vm]);
    await host.agent.pass();
    host.plane.outage = unreachable();
    await host.clock.advance(2 * HOUR);
    expect(await powerOf(host, vm.vmId)).toBe("on");
    await host.clock.advance(1);
    expect(await powerOf(host, vm.vmId)).toBe("off");
  });

  test("that lapsed keeps the VM off after a host reboot that starts everything", async () => {
    const host = createTestHost();
    const vm = aDesiredVm({ entitledUntil: "2026-05-01T00:00:00.000Z", power: "running" });
    host.plane.want([vm]);
    await host.agent.pass();
    expect((await host.world.vm(vm.vmId))?.starts).toBe(0);
    expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, observed: { power: "off" } });
    await rebootHost(host.world, { autostart: true, now: host.clock.now(), ids: randomIds });
    host.restart();
    expect(await powerOf(host, vm.vmId)).toBe("off");
  });

  test("that is renewed starts the VM again", async () => {
    const host = createTestHost();
    const vm = aDesiredVm({ entitledUntil: "2026-05-01T00:00:00.000Z" });
    host.plane.want([vm]);
    expect(await powerOf(host, vm.vmId)).toBe("off");
    host.plane.change(vm.vmId, { entitledUntil: "2027-01-01T00:00:00.000Z" });
    expect(await powerOf(host, vm.vmId)).toBe("on");
  });
});

describe("the limit on destroys", () => {
  test("holds over a restart, and opens again with the hour", async () => {
    const host = createTestHost({ settings: { destroysPerHour: 2 } });
    const vms = [aDesiredVm(), aDesiredVm(), aDesiredVm()];
    host.plane.want(vms);
    await host.agent.pass();
    host.plane.want(vms.map((vm) => ({ ...vm, generation: 2, presence: "absent" as const })));
    await host.agent.pass();
    expect(await host.world.vms()).toHaveLength(1);
    host.restart();
    await host.agent.pass();
    const [left] = await host.world.vms();
    expect(host.plane.last(left?.vmId ?? "")).toMatchObject({ error: { code: "destroy_limit" } });
    await host.clock.advance(HOUR + 120_000);
    expect(await host.world.vms()).toEqual([]);
  });
});
