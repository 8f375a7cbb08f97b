import type { EventName } from "#core/contracts/events.ts";
import { TOLD_FINDINGS } from "#core/hosts/finding.ts";
import { HOST_STATES } from "#core/hosts/host-state.ts";
import { silentBefore } from "#core/hosts/place-vm.ts";
import type { OrderState } from "#core/orders/order.ts";
import { OPEN_ORDER_STATES } from "#core/plane-metrics.ts";
import {
  deliveryTimes,
  doorbellLags,
  eventsSent,
  hostsByState,
  openFindings,
  openOrders,
  silentHosts,
  unappliedBacklog,
  unhandledSince,
  type Span,
} from "#db/measurements.ts";
import { oldestWaitingMail } from "#db/messages/mails.ts";
import { unsentBacklog } from "#db/messages/outbox.ts";
import type { Deps } from "./deps.ts";

/** Whoever asks more often gets what is known. */
const AT_MOST_EVERY_MS = 10_000;
/** Longer than any transaction takes: what happened before that is committed. */
const SETTLED_MS = 15_000;
/** What happened while nobody measured for longer is not told any more. */
const MOST_SPAN_MS = 10 * 60_000;
const MOST_SILENT = 1000;
const MOST_FINDINGS = 10_000;

const STATE_AFTER: Partial<Record<EventName, OrderState>> = {
  "order.placed.v1": "awaiting_payment",
  "order.paid.v1": "paid",
  "order.activated.v1": "active",
  "order.completed.v1": "completed",
  "order.expired.v1": "expired",
  "order.refund_fell_due.v1": "refunding",
  "order.refund_failed.v1": "refunding",
  "order.refunded.v1": "refunded",
};
const PAYMENT_AFTER: Partial<Record<EventName, "taken" | "refunded" | "refund_failed">> = {
  "order.paid.v1": "taken",
  "order.refunded.v1": "refunded",
  "order.refund_failed.v1": "refund_failed",
};

type Measuring = Pick<Deps, "db" | "clock" | "metrics">;

/**
 * Tells `deps.metrics` what the database shows: what waits now, and what happened since it was called last (at first, since
 * `firstSpanMs` ago). For as many callers as there are, it asks once in ten seconds at most.
 */
export function createMeasure(deps: Measuring, firstSpanMs = 0): () => Promise<void> {
  let until = new Date(+deps.clock.now() - SETTLED_MS - firstSpanMs);
  let measuredAt = -Infinity;
  let measuring: Promise<void> | null = null;

  async function measureNow(): Promise<void> {
    const now = deps.clock.now();
    const to = new Date(+now - SETTLED_MS);
    const from = new Date(Math.max(+until, +to - MOST_SPAN_MS));
    await tellWhatWaits(deps, now);
    if (from < to) await tellWhatHappened(deps, { from, until: to });
    until = to;
    measuredAt = +now;
  }

  return () => {
    if (+deps.clock.now() - measuredAt < AT_MOST_EVERY_MS) return Promise.resolve();
    measuring ??= measureNow().finally(() => {
      measuring = null;
    });
    return measuring;
  };
}

const WEEK_MS = 7 * 24 * 60 * 60_000;

async function tellWhatWaits({ db, metrics }: Measuring, now: Date): Promise<void> {
  const ageOf = (oldest: Date | null) =>
    oldest === null ? 0 : Math.max(0, (+now - +oldest) / 1000);
  const unsent = await unsentBacklog(db);
  metrics.set("berth_outbox_unsent", {}, unsent.rows);
  metrics.set("berth_outbox_unsent_age_seconds", {}, ageOf(unsent.oldest));
  const unapplied = await unappliedBacklog(db);
  metrics.set("berth_inbox_unapplied", {}, unapplied.rows);
  metrics.set("berth_inbox_unapplied_age_seconds", {}, ageOf(unapplied.oldest));
  metrics.set("berth_inbox_unhandled", {}, await unhandledSince(db, new Date(+now - WEEK_MS)));
  metrics.set("berth_mail_waiting_age_seconds", {}, ageOf(await oldestWaitingMail(db)));
  const open = await openOrders(db);
  for (const state of OPEN_ORDER_STATES)
    metrics.set("berth_orders_open", { state }, open.get(state)?.rows ?? 0);
  metrics.set("berth_order_undelivered_age_seconds", {}, ageOf(open.get("paid")?.oldest ?? null));
  const hosts = await hostsByState(db);
  for (const state of HOST_STATES) metrics.set("berth_hosts", { state }, hosts.get(state) ?? 0);
  metrics.set("berth_hosts_silent", {}, await silentHosts(db, silentBefore(now), MOST_SILENT));
  const amiss = await openFindings(db, MOST_FINDINGS);
  const known = TOLD_FINDINGS.filter((kind) => kind !== "other");
  const others = [...amiss].filter(([kind]) => !known.includes(kind));
  for (const kind of known) metrics.set("berth_findings_open", { kind }, amiss.get(kind) ?? 0);
  const rest = others.reduce((sum, [, open]) => sum + open, 0);
  metrics.set("berth_findings_open", { kind: "other" }, rest);
}

async function tellWhatHappened({ db, metrics }: Measuring, span: Span): Promise<void> {
  // All is read before any is told, so that what is read again after a failure is told once.
  const events = await eventsSent(db, span);
  const deliveries = events.has("order.activated.v1") ? await deliveryTimes(db, span) : [];
  const lags = events.has("vm.change_requested.v1") ? await doorbellLags(db, span) : [];
  for (const [name, times] of events) {
    const state = STATE_AFTER[name];
    if (state) metrics.count("berth_orders_total", { state }, times);
    const outcome = PAYMENT_AFTER[name];
    if (outcome) metrics.count("berth_payments_total", { outcome }, times);
  }
  for (const seconds of deliveries) metrics.observe("berth_provisioning_seconds", {}, seconds);
  for (const seconds of lags) metrics.observe("berth_doorbell_lag_seconds", {}, seconds);
}
