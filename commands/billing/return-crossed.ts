import { owedFor } from "#core/billing/give-back.ts";
import type { Event } from "#core/contracts/events.ts";
import {
  crossedToSettle,
  loadCrossed,
  lockCrossed,
  markCrossedTried,
  saveCrossedSettled,
  type CrossedPayment,
} from "#db/billing/crossed-payments.ts";
import { endingPolicyAt } from "#db/billing/ending-policies.ts";
import { givenOf, insertGiveBack, wasGivenSince } from "#db/billing/give-backs.ts";
import { openChangeOf } from "#db/billing/plan-changes.ts";
import { lockService } from "#db/billing/services.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/**
 * Decides what is given back of a payment that came when what it is for had ended: by the policy of that instant, and never what
 * went back already, by a loss, by an order or by staff. It is decided once for an invoice; `make-give-back.ts` gives it.
 *
 * @returns `waits` while a change of the VM's plan is open, which may give back the same money, or while it cannot be told what was given.
 * Throws when the provider cannot be reached.
 */
export async function returnCrossed(
  deps: Deps,
  id: string,
): Promise<"returned" | "nothing_owed" | "waits" | "repeat"> {
  const crossed = await loadCrossed(deps.db, id);
  if (!crossed) return "repeat";
  const { invoiceId, orderId, vmId } = crossed;
  if (vmId !== null && (await openChangeOf(deps.db, vmId)) !== undefined) return "waits";
  const lookedAt = deps.clock.now();
  const period = await deps.payments.paidPeriod(invoiceId);
  // For no time: what it is for only a person can tell, and give it back.
  if (period === undefined)
    deps.log.error("return_crossed.of_no_time", { order_id: orderId, invoice_id: invoiceId });
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    if (!(await lockCrossed(tx, id))) return "repeat";
    // A loss of the VM may give back of the same invoice: one of the two after the other.
    if (vmId !== null) await lockService(tx, vmId);
    if (await wasGivenSince(tx, [invoiceId], lookedAt)) return "waits";
    const policy = await endingPolicyAt(tx, crossed.endedAt);
    const given = await givenOf(tx, [invoiceId]);
    const owed =
      period === undefined
        ? []
        : owedFor({ way: "card", from: period.from, until: null }, [period], given);
    const events: Event[] = [];
    for (const each of owed) {
      const giveBackId = at.newId();
      await insertGiveBack(tx, { ...each, id: giveBackId, lossId: null, vmId, orderId }, at.now);
      events.push({ name: "give_back.fell_due.v1", data: { giveBackId } });
    }
    await saveCrossedSettled(tx, id, at.now);
    await recordChange(
      tx,
      {
        actor: { kind: "system", id: "return-crossed" },
        action: "billing.return_crossed",
        subject: { kind: "order", id: orderId },
        detail: detailOf(crossed, policy.version, owed),
        events,
      },
      at,
    );
    return owed.length > 0 ? "returned" : "nothing_owed";
  });
}

const detailOf = (
  { invoiceId, endedAt }: CrossedPayment,
  policy: number,
  owed: readonly { amount: { minor: bigint } }[],
) => ({
  invoice_id: invoiceId,
  ended_at: endedAt.toISOString(),
  ending_policy: policy,
  owed: owed.map(({ amount }) => amount.minor.toString()).join(", "),
});

/** Decides every one that is due: what a lost message or a provider's failure left behind. */
export async function retryCrossed(deps: Deps): Promise<{ settled: number; failed: number }> {
  const count = { settled: 0, failed: 0 };
  for (const id of await crossedToSettle(deps.db, 50)) {
    try {
      if ((await returnCrossed(deps, id)) !== "waits") {
        count.settled++;
        continue;
      }
    } catch (error) {
      count.failed++;
      deps.log.error("retry_crossed.failed", { invoice_id: id, error });
    }
    await markCrossedTried(deps.db, id, deps.clock.now());
  }
  return count;
}
