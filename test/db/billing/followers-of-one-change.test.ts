import { afterAll, beforeAll, expect, test } from "vitest";
import { dropPlanChange } from "#commands/billing/drop-plan-change.ts";
import { followPlanChange } from "#commands/billing/follow-plan-change.ts";
import type { Deps } from "#commands/deps.ts";
import type { PriceChanges } from "#core/billing/price-changes.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  aStoredQuote,
  aVmToResize,
  isSeen,
  moneyOf,
  standsAt,
  take,
} from "#test/harness/plan-changes.ts";
import { valueOf } from "#test/harness/world.ts";

/* 6a 2: several workers at one change: by their hold one asks the provider at a time, and one whose time ran out harms nothing. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const UNCHANGED = { billed: 500, kept: 500, balance: 0, open: 0 };
const PAID_MORE = { billed: 900, kept: 900, balance: 0, open: 0 };

async function aBegunChange() {
  const vm = await aVmToResize(cp);
  const quote = await aStoredQuote(cp, vm);
  const { change } = valueOf(await take(cp, vm, quote.id));
  return { vm, id: change.id };
}
const outcomes = async (id: string) =>
  cp.rows("select outcome, held_until from plan_changes where id = $1", id);

/** The provider's answer is there, and before the worker has it something else happens, once. */
function answersLate(what: keyof PriceChanges, meanwhile: () => Promise<unknown>): Deps {
  const { payments } = cp.deps;
  let isFirst = true;
  const ask = async (...asked: readonly never[]) => {
    const answer = await (payments[what] as (...of: readonly never[]) => Promise<unknown>)(
      ...asked,
    );
    if (isFirst) {
      isFirst = false;
      await meanwhile();
    }
    return answer;
  };
  return { ...cp.deps, payments: { ...payments, [what]: ask } };
}

test("eight that follow it at the same moment are one that does, and the others leave it", async () => {
  const { vm, id } = await aBegunChange();
  const { length: before } = cp.stripe.calls;
  const all = await Promise.all(Array.from({ length: 8 }, () => followPlanChange(cp.deps, id)));
  expect(all.toSorted()).toEqual([...Array.from({ length: 7 }, () => "held"), "waits"]);
  const asked = cp.stripe.calls.slice(before).filter((call) => call.startsWith("POST /v1/sub"));
  // What is asked next is said on the subscription, and then the price is changed.
  expect(asked).toHaveLength(2);
  expect(await moneyOf(cp, vm)).toEqual(PAID_MORE);
});

test("one that comes while the provider is asked leaves it, and nothing is lost of what rang", async () => {
  const { vm, id } = await aBegunChange();
  const seen: string[] = [];
  const slow = answersLate("changePrice", async () => {
    seen.push(await followPlanChange(cp.deps, id));
  });
  expect(await followPlanChange(slow, id)).toBe("waits");
  expect(seen).toEqual(["held"]);
  await isSeen(cp, vm);
  await cp.pump();
  expect(await standsAt(cp, vm)).toMatchObject({ outcome: "committed" });
});

test("an answer that comes after the hold ran out changes nothing of what another worker has done", async () => {
  const { vm, id } = await aBegunChange();
  const slow = answersLate("changePrice", async () => {
    cp.clock.advanceMinutes(3);
    expect(await followPlanChange(cp.deps, id)).toBe("waits");
  });
  expect(await followPlanChange(slow, id)).toBe("held");
  expect(await standsAt(cp, vm)).toMatchObject({ money: "applied", machine: "applying" });
  expect(await moneyOf(cp, vm)).toEqual(PAID_MORE);
});

test("a worker whose time ran out takes the hold from nobody, whether it is answered or fails", async () => {
  const { id } = await aBegunChange();
  const another = async () => {
    cp.clock.advanceMinutes(3);
    // Another one holds it, and is at work still.
    const until = new Date(+cp.clock.now() + 120_000);
    await cp.rows("update plan_changes set held_until = $2 where id = $1", id, until);
    return until;
  };
  const held: Date[] = [];
  const slow = answersLate("fetchBilled", async () => held.push(await another()));
  expect(await followPlanChange(slow, id)).toBe("held");
  expect(await outcomes(id)).toEqual([{ outcome: null, held_until: held[0] }]);
  cp.clock.advanceMinutes(3);
  const fails = answersLate("fetchBilled", async () => {
    held.push(await another());
    throw new Error("its connection broke");
  });
  await expect(followPlanChange(fails, id)).rejects.toThrow("its connection broke");
  expect(await outcomes(id)).toEqual([{ outcome: null, held_until: held[1] }]);
});

test("what the provider does after it was dropped in between goes back in full", async () => {
  const { vm, id } = await aBegunChange();
  const { payments } = cp.deps;
  // The call is on its way for so long that the drop finds nothing at the provider.
  const changePrice: PriceChanges["changePrice"] = async (asked) => {
    cp.clock.advanceMinutes(3);
    const who = vm.world.buyer;
    valueOf(await dropPlanChange(cp.deps, { who, vmId: vm.vmId, why: "cancelled" }));
    expect(await standsAt(cp, vm)).toMatchObject({ money: "dropped", outcome: "reverted" });
    return payments.changePrice(asked);
  };
  const slow = { ...cp.deps, payments: { ...payments, changePrice } };
  expect(await followPlanChange(slow, id)).toBe("held");
  expect(await moneyOf(cp, vm)).toEqual(UNCHANGED);
});
