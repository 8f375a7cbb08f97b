import { owedFor, whatToSettle } from "#core/billing/give-back.ts";
import { creditGiven, refundMade } from "#core/billing/ledger.ts";
import type { PaidPeriod } from "#core/billing/payments.ts";
import type { Event } from "#core/contracts/events.ts";
import {
  givenOf,
  insertGiveBack,
  saveMade,
  unknownGiveBacks,
  wasGivenSince,
} from "#db/billing/give-backs.ts";
import { lockService } from "#db/billing/services.ts";
import {
  lockLoss,
  lossesToSettle,
  markLossTried,
  saveSettled,
  type Loss,
} from "#db/billing/losses.ts";
import { post } from "#db/billing/ledger.ts";
import type { Tx } from "#db/client.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/**
 * Decides what is given back for the time in which VMs were lost: credit once they are back, or their paid time is over; what was
 * paid ahead, once they are given up or deleted. Each span of a loss is settled once, and each span is of one loss.
 */
export async function settleLosses(deps: Deps): Promise<{ settled: number; failed: number }> {
  const count = { settled: 0, failed: 0 };
  const now = deps.clock.now();
  for (const loss of await lossesToSettle(deps.db, now, 50)) {
    try {
      if (await settle(deps, loss)) count.settled++;
    } catch (error) {
      count.failed++;
      deps.log.error("settle_losses.failed", { vm_id: loss.vmId, error });
      await markLossTried(deps.db, loss.id, now);
    }
  }
  return count;
}

async function settle(deps: Deps, seen: Loss): Promise<boolean> {
  const { subscriptionId } = seen;
  const lookedAt = deps.clock.now();
  const periods =
    subscriptionId === null
      ? []
      : await deps.payments.paidPeriods(subscriptionId, seen.settledUntil);
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    const loss = await lockLoss(tx, seen.id);
    // What was paid is what the look at the provider showed: what moved since then waits for the next look.
    if (!loss || +loss.paidUntil !== +seen.paidUntil) return false;
    const time = whatToSettle(loss, at.now);
    if (time === null || +time.from !== +seen.settledUntil) return false;
    // A payment of the same invoices may be given back beside it (`return-crossed.ts`): one of the two after the other.
    await lockService(tx, loss.vmId);
    const invoiceIds = periods.map(({ invoiceId }) => invoiceId);
    if (await wasGivenSince(tx, invoiceIds, lookedAt)) return false;
    await takeInForgotten(tx, loss, periods, at);
    const given = await givenOf(tx, invoiceIds);
    const events: Event[] = [];
    const { id: lossId, vmId, orderId } = loss;
    const owed = owedFor(time, periods, given);
    for (const each of owed) {
      const id = at.newId();
      await insertGiveBack(tx, { ...each, id, lossId, vmId, orderId }, at.now);
      events.push({ name: "give_back.fell_due.v1", data: { giveBackId: id } });
    }
    const until = time.until ?? (time.from > at.now ? time.from : at.now);
    await saveSettled(tx, lossId, { until, isAll: time.isAll, now: at.now });
    await recordChange(
      tx,
      {
        actor: { kind: "system", id: "settle-losses" },
        action: "billing.settle_loss",
        subject: { kind: "vm", id: vmId },
        detail: {
          from: time.from.toISOString(),
          until: time.until?.toISOString() ?? null,
          owed: owed.map((each) => `${each.amount.minor} of ${each.invoiceId}`).join(", "),
        },
        events,
      },
      at,
    );
    return true;
  });
}

/**
 * What the provider shows as given back and nobody here knows: a database that was restored has forgotten it (docs/adr/0040). Each
 * is written down and booked as it was.
 */
async function takeInForgotten(
  tx: Tx,
  { id: lossId, vmId, orderId, accountId }: Loss,
  periods: readonly PaidPeriod[],
  at: { now: Date; newId: () => string },
): Promise<void> {
  const shown = periods.flatMap((period) => period.given.map((given) => ({ period, given })));
  const unknown = await unknownGiveBacks(
    tx,
    shown.map(({ given }) => given.giveBackId),
  );
  const forgotten = shown.filter(({ given }) => unknown.has(given.giveBackId));
  for (const { period, given } of forgotten) {
    const { giveBackId: id, id: providerId, way, from, until, minor } = given;
    const { invoiceId, customerId, paymentId, total } = period;
    const payee = way === "card" ? (paymentId ?? customerId) : customerId;
    const amount = { minor, currency: total.currency };
    const row = { id, lossId, vmId, orderId, invoiceId, way, payee, from, until, amount };
    await insertGiveBack(tx, row, at.now);
    await saveMade(tx, id, { providerId, now: at.now });
    const book = way === "balance" ? creditGiven : refundMade;
    await post(tx, book({ accountId, orderId }, providerId, amount), at);
  }
}
