import { afterEach, beforeEach, expect } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import { followPlanChange } from "#commands/billing/follow-plan-change.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import {
  aStoredQuote,
  aVmToResize,
  isSeen,
  onItsPage,
  paysOtherwise,
  paysWith,
  take,
} from "#test/harness/plan-changes.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { valueOf } from "#test/harness/world.ts";

/* 6a 2: each step of a resize run twice and failed at, with the world looked at afterwards. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const lines = (...patterns: readonly RegExp[]) =>
  patterns.map((line) => expect.stringMatching(line));

/** A worker that died has it for two minutes still: here nobody waits for that. */
async function again(id: string): Promise<void> {
  await cp.rows("update plan_changes set held_until = null where id = $1", id);
  await followPlanChange(cp.deps, id);
}
const follow = (id: string) => followPlanChange(cp.deps, id);

/** Nobody has followed it yet. */
async function aBegunChange(pays?: Parameters<typeof paysWith>[2]) {
  const vm = await aVmToResize(cp);
  if (pays) await paysWith(cp, vm, pays);
  const quote = await aStoredQuote(cp, vm);
  const { change } = valueOf(await take(cp, vm, quote.id));
  return { vm, id: change.id };
}

it("taking a quote ends as one change, and room for both sizes", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const vm = await aVmToResize(cp);
      return { vm, quote: await aStoredQuote(cp, vm) };
    },
    act: ({ vm, quote }) => take(cp, vm, quote.id),
    emits: ["plan_change.began.v1", "plan_change.fell_due.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^plan_changes .*"applying"/, /^reservations .*"vcpus":2/)),
  );
});

it("paying and telling the host ends as one payment and one size", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => (await aBegunChange()).id,
    act: follow,
    again,
    emits: ["vm.change_requested.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^plan_changes .*"applying"/, /^actions .*"running"/)),
  );
});

it("what was seen is committed once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { vm, id } = await aBegunChange();
      await cp.pump();
      await isSeen(cp, vm);
      return id;
    },
    act: follow,
    again,
    emits: ["action.finished.v1", "plan_change.committed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^plan_changes .*"committed"/, /^services .*"plan_version":2/)),
  );
});

it("what was not seen goes back once, with its money", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { id } = await aBegunChange();
      await cp.pump();
      cp.clock.advanceMinutes(61);
      return id;
    },
    act: follow,
    again,
    emits: ["plan_change.fell_due.v1", "vm.change_requested.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^plan_changes .*"reverting"/, /^stripe refund/)),
  );
});

it("what was not paid is void once, and its room free", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { id } = await aBegunChange("chargeCustomerFail");
      await cp.pump();
      cp.clock.advanceMinutes(61);
      return id;
    },
    act: follow,
    again,
    emits: ["plan_change.fell_due.v1", "action.finished.v1", "plan_change.reverted.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^plan_changes .*"dropped"/, /^actions .*"not_paid"/)),
  );
});

/** Its payer has no card on file, and has paid on its page: nobody has looked since. */
async function aPaidPage(): Promise<string> {
  const vm = await aVmToResize(cp);
  await paysOtherwise(cp, vm);
  const quote = await aStoredQuote(cp, vm, { paysBy: "other" });
  const { change } = valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  expect(await onItsPage(cp, vm, { card: CARD.works })).toBe(303);
  return change.id;
}

it("what was paid on its page is one credit and one change of price", async () => {
  const each = await runEachStep(cp, {
    arrange: aPaidPage,
    act: follow,
    again,
    emits: ["vm.change_requested.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^plan_changes .*"applying"/, /^stripe customer .* 0$/)),
  );
});

it("what was paid on its page as its hour ended goes back once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const id = await aPaidPage();
      cp.clock.advanceMinutes(61);
      return id;
    },
    act: follow,
    again,
    emits: ["plan_change.fell_due.v1", "action.finished.v1", "plan_change.reverted.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^plan_changes .*"undone"/, /^stripe refund/)),
  );
});
