import { cardSteps, type CardStep, type Payer } from "#core/billing/cards.ts";
import { keepCard } from "#db/billing/customers.ts";
import type { Tx } from "#db/client.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/** A customer who changes their card faster than we look is somebody's program. */
const MOST_LOOKS = 5;

/**
 * Brings a customer's subscriptions in line with the card that they saved on a page of ours (`pageId`), or chose at the provider, and tries
 * what they owe with it. It looks at states, and again after what it did, until nothing is to be done: whoever acts last has
 * looked last. A bank that says no is no error of ours.
 *
 * `claim` runs first in the transaction that records it; when it says false the work was done by another.
 */
export async function followCard(
  deps: Deps,
  { customerId, pageId }: { customerId: string; pageId: string | null },
  by: { actor: Actor; claim: (tx: Tx) => Promise<boolean> },
): Promise<"card_changed" | "unchanged" | "repeat"> {
  const { payments } = deps;
  let payer: Payer;
  let did = false;
  for (let looks = 1; ; looks++) {
    const page = pageId === null ? null : await payments.fetchCardPage(pageId);
    payer = await payments.fetchPayer(customerId);
    const steps = cardSteps(payer, page);
    if (steps.length === 0) break;
    if (looks > MOST_LOOKS) throw new Error(`the card of ${customerId} does not settle`);
    for (const step of steps) await take(deps, customerId, step);
    did = true;
  }
  const { chosen } = payer;
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    if (!(await by.claim(tx))) return "repeat";
    const held = await keepCard(tx, customerId, chosen?.id ?? null);
    const changed = held !== undefined && (did || held.cardId !== (chosen?.id ?? null));
    if (!changed) return "unchanged";
    const { brand = null, last4 = null } = chosen?.card ?? {};
    await recordChange(
      tx,
      {
        actor: by.actor,
        action: "card.change",
        subject: { kind: "account", id: held.accountId },
        detail: { brand, last4 },
        events: [{ name: "card.changed.v1", data: { accountId: held.accountId } }],
      },
      at,
    );
    return "card_changed";
  });
}

async function take(deps: Deps, customerId: string, step: CardStep): Promise<void> {
  const { payments, log } = deps;
  switch (step.do) {
    case "choose":
      return payments.chooseCard(customerId, step.methodId);
    case "charge_to":
      return payments.chargeTo(step.subscriptionId, step.methodId);
    case "mark_taken":
      return payments.markCardTaken(step.pageId);
    case "pay_owed":
      for (const invoiceId of await payments.owedBy(customerId)) {
        const outcome = await payments.payWithCard(invoiceId, step.methodId);
        log.info("follow_card.tried", { customer_id: customerId, invoice_id: invoiceId, outcome });
      }
  }
}
