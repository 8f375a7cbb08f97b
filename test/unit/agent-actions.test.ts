import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { SEED_GRACE_MS } from "#core/vms/plan-vm-step.ts";
import { crashingAt, hanging, throwing, when } from "#host-agent/drivers/simulated/faults.ts";
import { createTestHost } from "#test/drivers/agent-harness.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";

/** As `DEFAULT_SETTINGS` of `host-agent/agent.ts` has it. */
const STEP_LIMIT_MS = 300_000;

/** A running VM of which `type` is asked; `done` counts how often the driver did it. */
async function asked(type: "reset" | "reboot", over: Parameters<typeof createTestHost>[0] = {}) {
  let done = 0;
  const counting = when({ operation: "once", step: "done" }, () => {
    done += 1;
  });
  const faults = over.driver?.faults;
  const host = createTestHost({
    ...over,
    driver: {
      ...over.driver,
      faults: async (point, signal) => {
        await counting(point, signal);
        await faults?.(point, signal);
      },
    },
  });
  const vm = aDesiredVm();
  host.plane.want([vm]);
  await host.agent.pass();
  const action = { id: randomUUID(), type };
  host.plane.change(vm.vmId, { pendingActions: [action] });
  const outcomes = () =>
    host.plane.reports
      .flatMap((report) => report.actions)
      .filter((report) => report.actionId === action.id);
  return { host, vm, action, outcomes, done: () => done };
}

test("an action that is asked for again and again is done once, and reported each time", async () => {
  const { host, outcomes, done, vm, action } = await asked("reset");
  await host.agent.pass();
  await host.agent.pass();
  host.restart();
  await host.agent.pass();
  expect(done()).toBe(1);
  expect(outcomes().length).toBeGreaterThanOrEqual(3);
  expect(outcomes().every((report) => report.outcome === "success")).toBe(true);
  expect(outcomes()[0]).toEqual({
    actionId: action.id,
    vmId: vm.vmId,
    outcome: "success",
    error: null,
  });
});

test("an agent that dies in the middle of an action neither repeats it nor claims it", async () => {
  const never = new Promise<void>(() => undefined);
  const faults = when(
    { operation: "once", step: "done" },
    crashingAt(1, () => never),
  );
  const { host, outcomes, done } = await asked("reset", { driver: { faults } });
  // Abandoned while it waits in the driver: it never learns how the reset ended.
  void host.agent.pass();
  await host.clock.advance(10);
  expect(done()).toBe(1);
  expect(outcomes()).toEqual([]);
  host.restart();
  await host.agent.pass();
  expect(done()).toBe(1);
  expect(outcomes()[0]).toMatchObject({ outcome: "error", error: { code: "driver_failed" } });
  expect(outcomes()[0]?.error?.detail).toContain("not known");
});

test("an action that the driver refuses ends in its error", async () => {
  const { host, outcomes } = await asked("reboot", {
    driver: { capabilities: { gracefulStop: false } },
  });
  await host.agent.pass();
  expect(outcomes()[0]).toMatchObject({ outcome: "error", error: { code: "unsupported" } });
});

test("an action on a VM that is off ends in an error", async () => {
  const { host, vm, outcomes, done } = await asked("reset");
  host.plane.change(vm.vmId, { power: "off" });
  await host.agent.pass();
  expect(done()).toBe(0);
  expect(outcomes()[0]).toMatchObject({ outcome: "error", error: { code: "unsupported" } });
});

test("an action waits until the VM runs as desired", async () => {
  const faults = when({ operation: "resize" }, throwing(), 1);
  const { host, vm, outcomes, done } = await asked("reset", { driver: { faults } });
  host.plane.change(vm.vmId, { size: { vcpus: 2, memoryMib: 256, diskGib: 1 } });
  await host.agent.pass();
  expect(done()).toBe(0);
  await host.clock.advance(2000);
  expect(done()).toBe(1);
  expect(outcomes()[0]?.outcome).toBe("success");
});

test("the journal forgets an action that is asked for no longer", async () => {
  const { host, vm } = await asked("reset");
  await host.agent.pass();
  host.plane.change(vm.vmId, { pendingActions: [] });
  await host.agent.pass();
  expect(await host.store.read("actions.json")).toBe("{}");
});

// Found by the simulator: invariant 16, "was rebooted 2 times for 1 actions".
test("a worker that hung while its action was forgotten does not do it again", async () => {
  const once = when({ operation: "once", step: "done" }, hanging);
  const erase = when({ operation: "erase_seed" }, hanging);
  const { host, vm, done, outcomes } = await asked("reboot", {
    driver: {
      faults: async (point, signal) => {
        await once(point, signal);
        await erase(point, signal);
      },
    },
  });
  // The reboot hangs until it is given up, and then the seed's erasing, which is due by then, does.
  await host.clock.advance(SEED_GRACE_MS - 1000);
  void host.agent.pass();
  await host.clock.advance(STEP_LIMIT_MS + 1000);
  expect(outcomes()).toMatchObject([{ outcome: "error" }]);
  host.plane.change(vm.vmId, { pendingActions: [] });
  void host.agent.pass();
  await host.clock.advance(10);
  expect(await host.store.read("actions.json")).toBe("{}");
  await host.clock.advance(2 * STEP_LIMIT_MS);
  expect(done()).toBe(1);
});
