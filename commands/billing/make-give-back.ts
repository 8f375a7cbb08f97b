import { creditGiven, refundMade } from "#core/billing/ledger.ts";
import {
  giveBacksToMake,
  loadGiveBack,
  markGiveBackTried,
  saveMade,
  type GiveBack,
} from "#db/billing/give-backs.ts";
import { post } from "#db/billing/ledger.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/**
 * Gives back at the provider what `settle-losses.ts` decided, and books it. May be repeated: the provider is asked by the row's id,
 * and the ledger takes each of its answers once.
 *
 * @returns `pending` while the bank has not taken the refund; the sweep asks again.
 */
export async function makeGiveBack(
  deps: Deps,
  giveBackId: string,
): Promise<"made" | "pending" | "repeat"> {
  const owed = await loadGiveBack(deps.db, giveBackId);
  if (!owed || owed.providerId !== null) return "repeat";
  const made = await give(deps, owed);
  if (made.status !== "succeeded") {
    deps.log.error("make_give_back.not_yet", { give_back_id: giveBackId, status: made.status });
    return "pending";
  }
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    if (!(await saveMade(tx, giveBackId, { providerId: made.id, now: at.now }))) return "repeat";
    const book = owed.way === "balance" ? creditGiven : refundMade;
    // Of a refund the provider tells too, and whoever hears of it first has booked it (`book-staff-refund.ts`).
    await post(tx, book(owed, made.id, owed.amount), at);
    await recordChange(
      tx,
      {
        actor: { kind: "system", id: "make-give-back" },
        action: "billing.give_back",
        subject: { kind: "vm", id: owed.vmId },
        detail: { give_back_id: giveBackId, way: owed.way, provider_id: made.id },
        events: [{ name: "give_back.made.v1", data: { giveBackId, vmId: owed.vmId } }],
      },
      at,
    );
    return "made";
  });
}

async function give(deps: Deps, owed: GiveBack): Promise<{ id: string; status: string }> {
  const { id: giveBackId, payee, amount, invoiceId, from, until } = owed;
  const of = { invoiceId, from, until };
  if (owed.way === "card")
    return deps.payments.refundPart({ giveBackId, paymentId: payee, amount, ...of });
  const made = await deps.payments.giveCredit({ giveBackId, customerId: payee, amount, ...of });
  return { ...made, status: "succeeded" };
}

/** Gives back all that is due: what a lost message or a provider's failure left behind. */
export async function retryGiveBacks(deps: Deps): Promise<{ made: number; failed: number }> {
  const count = { made: 0, failed: 0 };
  for (const id of await giveBacksToMake(deps.db, 50)) {
    try {
      if ((await makeGiveBack(deps, id)) === "made") {
        count.made++;
        continue;
      }
    } catch (error) {
      count.failed++;
      deps.log.error("retry_give_backs.failed", { give_back_id: id, error });
    }
    await markGiveBackTried(deps.db, id, deps.clock.now());
  }
  return count;
}
