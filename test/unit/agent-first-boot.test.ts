import { expect, test } from "vitest";
import { SEED_GRACE_MS } from "#core/vms/plan-vm-step.ts";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import { crashingAt, throwing, when } from "#host-agent/drivers/simulated/faults.ts";
import { createTestHost, type TestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm, anImage } from "#test/drivers/builders.ts";
import { unreachable } from "#test/drivers/fake-control-plane.ts";

const seeded = async ({ world }: TestHost, vmId: string) => {
  const vm = await world.vm(vmId);
  return vm?.seed ? !vm.seed.erased : undefined;
};
/** A VM whose guest has been seen, at the time it was seen first. */
async function upFor(ms: number, over: Parameters<typeof createTestHost>[0] = {}) {
  const host = createTestHost(over);
  const vm = aDesiredVm();
  host.plane.want([vm]);
  await host.agent.pass();
  await host.agent.pass();
  await host.clock.advance(ms);
  return { host, vm };
}

test("the seed is erased once the guest has been up for its grace, and the VM stays settled", async () => {
  const { host, vm } = await upFor(SEED_GRACE_MS - 1);
  await host.agent.pass();
  expect(await seeded(host, vm.vmId)).toBe(true);
  await host.clock.advance(1);
  await host.agent.pass();
  expect(await seeded(host, vm.vmId)).toBe(false);
  expect(host.plane.last(vm.vmId)).toMatchObject({
    settled: true,
    observed: { power: "running", complete: true, seeded: false },
  });
  expect((await host.world.vm(vm.vmId))?.starts).toBe(1);
});

test("the seed of a VM whose guest was never seen stays", async () => {
  const { host, vm } = await upFor(SEED_GRACE_MS * 2, {
    driver: { delays: { ...NO_DELAYS, guestReady: SEED_GRACE_MS * 10 } },
  });
  await host.agent.pass();
  expect(await seeded(host, vm.vmId)).toBe(true);
});

test("an agent that dies in the midst of erasing finds it to be done, or done", async () => {
  for (const step of ["erase", "done"] as const) {
    let dead = false;
    const die = crashingAt(1, () => {
      dead = true;
      return new Promise<never>(() => undefined);
    });
    const { host, vm } = await upFor(SEED_GRACE_MS, {
      driver: { faults: when({ operation: "erase_seed", step }, die, 1) },
    });
    void host.agent.pass();
    await host.clock.advance(1);
    expect(dead).toBe(true);
    host.restart();
    // It saw the guest only now, and gives it the grace again.
    await host.agent.pass();
    await host.clock.advance(SEED_GRACE_MS);
    await host.agent.pass();
    expect(await seeded(host, vm.vmId)).toBe(false);
    expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, error: null });
  }
});

test("a seed that cannot be erased is tried again at later passes, and unsettles nothing", async () => {
  const { host, vm } = await upFor(SEED_GRACE_MS, {
    driver: { faults: when({ operation: "erase_seed" }, throwing(), 2) },
  });
  for (const left of [true, true, false]) {
    await host.agent.pass();
    expect(await seeded(host, vm.vmId)).toBe(left);
    expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, error: null });
  }
  expect(host.errors).toEqual(["vm_step", "vm_step"]);
});

test("a Windows VM waits for the control plane to give its password, and nothing keeps that", async () => {
  const host = createTestHost();
  const vm = aDesiredVm({ image: anImage({ os: "windows" }) });
  host.plane.want([vm]);
  const initialPassword = host.plane.initialPassword.bind(host.plane);
  host.plane.initialPassword = () => Promise.reject(unreachable());
  await host.agent.pass();
  expect(host.plane.last(vm.vmId)).toMatchObject({
    settled: false,
    error: { code: "driver_failed" },
    observed: { complete: false },
  });
  host.plane.initialPassword = initialPassword;
  await host.clock.advance(60_000);
  await host.agent.pass();
  expect(host.plane.last(vm.vmId)).toMatchObject({ settled: true, observed: { power: "running" } });
  const password = await initialPassword(vm.vmId);
  const kept = `${await host.store.read("desired-2.json")} ${await host.store.read("actions.json")}`;
  expect(kept).toContain(vm.vmId);
  expect(kept).not.toContain(password);
  expect(JSON.stringify(host.plane.reports)).not.toContain(password);
});

test("a size beyond the host's limits is refused, and the VM runs on as it is", async () => {
  const { host, vm } = await upFor(0, { driver: { hypervisor: "hyperv" } });
  host.plane.change(vm.vmId, { size: { ...vm.size, vcpus: 2049 } });
  await host.agent.pass();
  expect(host.plane.last(vm.vmId)).toMatchObject({
    settled: false,
    error: { code: "beyond_limits" },
    observed: { power: "running", size: vm.size },
  });
});
