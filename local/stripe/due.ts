import { expireSession } from "./checkout-payment.ts";
import { collect, finalizeAndCollect } from "./collection.ts";
import { forgetOldEvents } from "./events.ts";
import { paymentOf, voidInvoice } from "./invoices.ts";
import { failRefund, refundFailsAt } from "./refunds.ts";
import { idOrNull, type Sandbox } from "./sandbox.ts";
import { endSubscription, moveSubscription } from "./subscription-states.ts";
import { periodEndOf, renew } from "./subscriptions.ts";
import { dropPending } from "./update-subscription.ts";

/** Work that time alone brings about. */
type DueWork = Readonly<{ at: number; run: () => void }>;

const HOURS_TO_COMPLETE = 23;
/** More than any real catching up needs: past it, something makes work without end. */
const MOST_STEPS = 100_000;

/**
 * Does everything that is due by `now`, one after the other in the order of its instants, each as if it were then:
 * sessions expire, periods renew, drafts are charged, failures are retried, refunds fail. Returns how much it did.
 * `waits`: whether an event is still to be delivered, and so must not be forgotten.
 */
export function runDue(sandbox: Sandbox, now: number, waits: (eventId: string) => boolean): number {
  for (let done = 0; done < MOST_STEPS; done += 1) {
    const next = nextWork(sandbox);
    if (next === undefined || next.at > now) {
      forgetOldEvents(sandbox, waits);
      return done;
    }
    sandbox.at(next.at, next.run);
  }
  throw new Error(`more than ${MOST_STEPS} things were due: time moved too far at once`);
}

/** When the next work is due, in Unix seconds; undefined: nothing waits for time. */
export const nextDueAt = (sandbox: Sandbox): number | undefined => nextWork(sandbox)?.at;

function nextWork(sandbox: Sandbox): DueWork | undefined {
  let first: DueWork | undefined;
  for (const work of waiting(sandbox)) if (first === undefined || work.at < first.at) first = work;
  return first;
}

function* waiting(sandbox: Sandbox): Generator<DueWork> {
  const { store } = sandbox;
  for (const session of store.all("checkout_session"))
    if (session.status === "open")
      yield { at: session.expires_at, run: () => void expireSession(sandbox, session.id) };
  for (const subscription of store.all("subscription")) {
    const { id, status, cancel_at: cancelAt } = subscription;
    if (status === "canceled" || status === "incomplete_expired") continue;
    if (status === "incomplete") {
      const at = subscription.created + HOURS_TO_COMPLETE * 3600;
      yield { at, run: () => giveUpIncomplete(sandbox, id) };
      continue;
    }
    // A change that waits is over, and a planned end comes, before the renewal of the same instant.
    const waiting = subscription.pending_update;
    if (waiting !== null) yield { at: waiting.expires_at, run: () => expirePending(sandbox, id) };
    if (cancelAt !== null)
      yield {
        at: cancelAt,
        run: () => void endSubscription(sandbox, id, "cancellation_requested"),
      };
    yield { at: periodEndOf(subscription), run: () => renew(sandbox, id) };
  }
  for (const invoice of store.all("invoice")) {
    const { id, automatically_finalizes_at: finalizesAt, next_payment_attempt: retryAt } = invoice;
    if (invoice.status === "draft" && finalizesAt !== null)
      yield { at: finalizesAt, run: () => void finalizeAndCollect(sandbox, id) };
    if (invoice.status === "open" && retryAt !== null)
      yield { at: retryAt, run: () => void collect(sandbox, id, null) };
  }
  for (const refund of store.all("refund")) {
    const at = refundFailsAt(sandbox, refund);
    if (at !== null) yield { at, run: () => failRefund(sandbox, refund.id) };
  }
}

/** A change that nobody paid for: its invoice is void, and it never counts. */
function expirePending(sandbox: Sandbox, id: string): void {
  dropPending(sandbox, sandbox.find("subscription", id));
  sandbox.emit("customer.subscription.pending_update_expired", sandbox.find("subscription", id));
}

/** A first payment that never came: Stripe gives it up after 23 hours and voids its invoice. */
function giveUpIncomplete(sandbox: Sandbox, id: string): void {
  const invoice = idOrNull(sandbox.find("subscription", id).latest_invoice);
  if (invoice !== null && paymentOf(sandbox, invoice) !== undefined) voidInvoice(sandbox, invoice);
  moveSubscription(sandbox, id, "expire");
}
