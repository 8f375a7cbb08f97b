import { expect, test } from "vitest";
import type { ActionReport, ObservedVm } from "#core/contracts/agent/report.ts";
import { aDesiredVm, realClock, randomIds } from "#test/drivers/builders.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { memoryStore } from "../state/state-store.ts";
import { createActionJournal } from "./actions.ts";
import { doPendingActions } from "./vm-actions.ts";

const action = { id: randomIds.newId(), type: "reset" as const };
const vm = aDesiredVm({ pendingActions: [action] });
const seen = (power: ObservedVm["power"]): ObservedVm => ({
  vmId: vm.vmId,
  ownerEpoch: vm.ownerEpoch,
  power,
  size: vm.size,
  complete: true,
  bootEpoch: null,
  guest: null,
  seeded: true,
});

/** A journal over `store`, and what came of the one action on a VM that a hypervisor would do. */
function anAgent(store = memoryStore()) {
  const journal = createActionJournal(store);
  const reports: ActionReport[] = [];
  let done = 0;
  const ask = (observed: ObservedVm | null, refusal: DriverError | null = null) =>
    doPendingActions(
      {
        journal,
        reporter: { action: (report) => reports.push(report) },
        driver: {
          once: async () => {
            done += 1;
          },
        },
        slot: (work) => work(),
        clock: realClock,
        log: { info: () => undefined, error: () => undefined },
        signal: new AbortController().signal,
        stepLimitMs: 60_000,
      },
      vm,
      observed,
      refusal,
      () => true,
    );
  return { store, journal, reports, ask, done: () => done };
}

test("an action is done on a running VM, and then only told of again", async () => {
  const { ask, done, reports } = anAgent();
  expect(await ask(seen("running"))).toBe(true);
  expect(await ask(seen("running"))).toBe(false);
  expect(done()).toBe(1);
  const success = { actionId: action.id, vmId: vm.vmId, outcome: "success", error: null };
  expect(reports).toEqual([success, success]);
});

test("an action that is under way is neither begun again nor given an outcome", async () => {
  const { journal, ask, done, reports } = anAgent();
  await journal.begin(action.id, vm.vmId);
  expect(journal.state(action.id)).toBe("under_way");
  expect(await ask(seen("running"))).toBe(false);
  expect(done()).toBe(0);
  expect(reports).toEqual([]);
});

test("an action that another life of the agent began is lost, and not repeated", async () => {
  const before = anAgent();
  await before.journal.begin(action.id, vm.vmId);
  const { journal, ask, done, reports } = anAgent(before.store);
  await journal.load();
  expect(journal.state(action.id)).toBe("lost");
  expect(await ask(seen("running"))).toBe(false);
  expect(done()).toBe(0);
  expect(reports).toMatchObject([{ outcome: "error", error: { code: "driver_failed" } }]);
});

test.each([
  ["is off", seen("off"), null, "unsupported"],
  ["is not there", null, null, "unsupported"],
  ["may not be worked on", seen("running"), new DriverError("stale_epoch", "no"), "stale_epoch"],
] as const)("an action on a VM that %s never reaches the hypervisor", async (_, is, why, code) => {
  const { ask, done, reports } = anAgent();
  expect(await ask(is, why)).toBe(false);
  expect(done()).toBe(0);
  expect(reports).toMatchObject([{ outcome: "error", error: { code } }]);
});

test("the journal forgets what is asked for no longer, and that alone", async () => {
  const { journal } = anAgent();
  const [wanted, done, begun] = [randomIds.newId(), randomIds.newId(), randomIds.newId()] as const;
  for (const id of [wanted, done, begun]) await journal.begin(id, vm.vmId);
  for (const actionId of [wanted, done])
    await journal.finish({ actionId, vmId: vm.vmId, outcome: "success", error: null });
  await journal.keepOnly((id) => id === wanted);
  expect(journal.state(wanted)).toMatchObject({ outcome: "success" });
  expect(journal.state(done)).toBe("new");
  // Whoever does it will say how it ended.
  expect(journal.state(begun)).toBe("under_way");
});
