import { v7 } from "uuid";
import { afterEach, beforeEach, expect } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { aCardOnFile, aSavedCard } from "#test/harness/cards.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { anActiveVm, aWorld, sendOrder, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const lines = (...patterns: readonly RegExp[]) =>
  patterns.map((line) => expect.stringMatching(line));
const byCard = ({ world, key }: { world: World; key: string }) =>
  sendOrder(cp, world, { key, request: { paymentMethod: "default" } });
const aBuyerWithCard = async (card?: string) => {
  const world = await aWorld(cp);
  await aCardOnFile(cp, world.buyer, card);
  return { world, key: v7() };
};

/** Which of the order's key and the provider's word was first says who is recorded as the one who paid it, and nothing else. */
const WHO = /^audit_log .*"action":"order\.(pay|expire)"/;

it("an order by card ends as one VM and one charge at whichever step it was cut short", async () => {
  const each = await runEachStep(cp, {
    arrange: () => aBuyerWithCard(),
    act: byCard,
    emits: ["order.placed.v1", "order.paid.v1", "vm.change_requested.v1"],
    ignore: WHO,
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(
        /^orders .*"paid"/,
        /^vms /,
        /^ledger_transactions .*"payment"/,
        /^stripe subscription .* active/,
        /^stripe invoice .* paid 500/,
      ),
    ),
  );
});

it("an order by a card that is declined ends with nothing held and nothing owed", async () => {
  const each = await runEachStep(cp, {
    arrange: () => aBuyerWithCard(CARD.failsAtRenewal),
    act: byCard,
    emits: ["order.placed.v1", "order.expired.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^orders .*"expired"/, /^hosts .*"allocated_vcpus":0/)),
  );
  expect(each.undisturbed.filter((line) => line.startsWith("stripe invoice"))).toEqual([]);
});

it("an order whose bank asks ends as one subscription that waits", async () => {
  const each = await runEachStep(cp, {
    arrange: () => aBuyerWithCard(CARD.asks),
    act: byCard,
    emits: ["order.placed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(/^orders .*"awaiting_payment"/, /^stripe subscription .* incomplete/),
    ),
  );
});

it("giving up an order whose bank was never answered ends its subscription once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      await byCard(await aBuyerWithCard(CARD.asks));
      await cp.pump();
      cp.clock.advanceMinutes(32);
    },
    act: () => expireOrders(cp.deps),
    emits: ["order.expired.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(/^orders .*"expired"/, /^stripe subscription .* canceled/, /^stripe invoice .* void 0/),
    ),
  );
});

it("a saved card is taken into use once, and what is owed is paid once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { buyer } = await owing();
      await aSavedCard(cp, buyer);
      await cp.stripe.standIn.webhooks.deliverDue();
      const [row] = await cp.rows(
        "select message_id from inbox where applied_at is null and type = 'checkout.session.completed'",
      );
      return String(row?.["message_id"]);
    },
    act: (messageId) => applyBillingEvent(cp.deps, messageId),
    emits: ["card.changed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(
        /^audit_log .*"card.change"/,
        /^stripe subscription .* active/,
        /^stripe invoice .* paid 500/,
      ),
    ),
  );
  expect(each.undisturbed.filter((line) => / (open|past_due)\b/.test(line))).toEqual([]);
});

/** Whose card was declined for a period that began today, so that no other run's renewals come due. */
async function owing(): Promise<World> {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world, CARD.failsAtRenewal);
  const [row] = await cp.rows("select subscription_id as id from services where vm_id = $1", vmId);
  cp.clock.advance(60_000);
  await cp.stripe.dashboard.subscriptions.update(String(row?.["id"]), {
    billing_cycle_anchor: { type: "now" },
    proration_behavior: "none",
  });
  await cp.pump();
  return world;
}
