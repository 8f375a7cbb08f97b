import { expireSession } from "./checkout-payment.ts";
import { collect, finalizeAndCollect, methodToCharge } from "./collection.ts";
import { forgetOldEvents } from "./events.ts";
import { paymentOf, voidInvoice } from "./invoices.ts";
import { failRefund, refundFailsAt } from "./refunds.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";
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

/** What comes next, as long as nothing has changed: it is asked for at every delivery, which changes nothing. */
const lastNext = new WeakMap<Sandbox, { changes: number; next: DueWork | undefined }>();

function nextWork(sandbox: Sandbox): DueWork | undefined {
  const { changes } = sandbox.store;
  const last = lastNext.get(sandbox);
  if (last?.changes === changes) return last.next;
  const next = findNext(sandbox);
  lastNext.set(sandbox, { changes, next });
  return next;
}

function findNext(sandbox: Sandbox): DueWork | undefined {
  let first: Work | undefined;
  let at = Infinity;
  eachWaiting(sandbox, (instant, work, id) => {
    if (instant >= at) return;
    at = instant;
    first = { run: work, id };
  });
  if (first === undefined) return undefined;
  const { run, id } = first;
  return { at, run: () => run(sandbox, id) };
}

type Run = (sandbox: Sandbox, id: string) => void;
type Work = Readonly<{ run: Run; id: string }>;

/** Walks over all that was ever made: tells what waits for time, and makes no object of it. */
function eachWaiting(sandbox: Sandbox, tell: (at: number, run: Run, id: string) => void): void {
  const { store } = sandbox;
  for (const session of store.each("checkout_session"))
    if (session.status === "open") tell(session.expires_at, expireSession, session.id);
  for (const subscription of store.each("subscription")) {
    const { id, status, cancel_at: cancelAt } = subscription;
    if (status === "canceled" || status === "incomplete_expired") continue;
    if (status === "incomplete") {
      tell(subscription.created + HOURS_TO_COMPLETE * 3600, giveUpIncomplete, id);
      continue;
    }
    // A change that waits is over, and a planned end comes, before the renewal of the same instant.
    const waiting = subscription.pending_update;
    if (waiting !== null) tell(waiting.expires_at, expirePending, id);
    if (cancelAt !== null) tell(cancelAt, endAsAsked, id);
    tell(periodEndOf(subscription), status === "trialing" ? endTrial : renew, id);
  }
  for (const invoice of store.each("invoice")) {
    const { id, automatically_finalizes_at: finalizesAt, next_payment_attempt: retryAt } = invoice;
    if (invoice.status === "draft" && finalizesAt !== null)
      tell(finalizesAt, finalizeAndCollect, id);
    if (invoice.status === "open" && retryAt !== null) tell(retryAt, collectAgain, id);
  }
  for (const refund of store.each("refund")) {
    const at = refundFailsAt(sandbox, refund);
    if (at !== null) tell(at, failRefund, refund.id);
  }
}

/** It goes on as any other, or ends where nothing is there to charge and it was to (https://docs.stripe.com/billing/subscriptions/trials). */
function endTrial(sandbox: Sandbox, id: string): void {
  const { customer, trial_settings: settings } = sandbox.find("subscription", id);
  const hasMethod = methodToCharge(sandbox, idOf(customer), id) !== null;
  if (hasMethod || settings?.end_behavior.missing_payment_method !== "cancel") renew(sandbox, id);
  else endSubscription(sandbox, id, "cancellation_requested");
}

const endAsAsked: Run = (sandbox, id) => endSubscription(sandbox, id, "cancellation_requested");
const collectAgain: Run = (sandbox, id) => collect(sandbox, id, null);

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
