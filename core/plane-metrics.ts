import { TOLD_FINDINGS } from "./hosts/finding.ts";
import { HOST_STATES } from "./hosts/host-state.ts";
import type { Metrics } from "./metrics.ts";
import { ORDER_STATES } from "./orders/order.ts";
import { READ_QUEUES } from "./ports.ts";

/** Orders in these states wait for somebody, and are few. */
export const OPEN_ORDER_STATES = ["awaiting_payment", "paid", "refunding"] as const;
export type OpenOrderState = (typeof OPEN_ORDER_STATES)[number];

/** What the control plane tells of itself: `/metrics` on one machine, CloudWatch on AWS (docs/runbooks/monitoring.md). */
export const PLANE_METRICS = {
  berth_orders_total: {
    kind: "counter",
    help: "Orders that came to a state.",
    labels: { state: ORDER_STATES },
  },
  berth_orders_open: {
    kind: "gauge",
    help: "Orders that wait: for their payment, their VM or their money.",
    labels: { state: OPEN_ORDER_STATES },
  },
  berth_order_undelivered_age_seconds: {
    kind: "gauge",
    help: "For how long the order has been paid that has waited longest for its VM; 0 when none waits.",
    labels: {},
  },
  berth_payments_total: {
    kind: "counter",
    help: "Payments of orders: taken, given back, and refunds that a bank sent back.",
    labels: { outcome: ["taken", "refunded", "refund_failed"] },
  },
  berth_provisioning_seconds: {
    kind: "histogram",
    help: "From an order's payment until its guest runs.",
    labels: {},
    buckets: [2, 5, 10, 20, 30, 60, 120, 300, 600, 1800],
  },
  berth_doorbell_lag_seconds: {
    kind: "histogram",
    help: "From a change of a VM until its host's doorbell was rung.",
    labels: {},
    buckets: [0.1, 0.5, 1, 5, 15, 60, 120, 600],
  },
  berth_queue_lag_seconds: {
    kind: "histogram",
    help: "How long messages lay in a queue before somebody first took them.",
    labels: { queue: READ_QUEUES },
    buckets: [0.1, 0.5, 1, 5, 10, 30, 60, 300, 900],
  },
  berth_outbox_unsent: {
    kind: "gauge",
    help: "Events that were decided and are not sent yet.",
    labels: {},
  },
  berth_outbox_unsent_age_seconds: {
    kind: "gauge",
    help: "Age of the oldest event that is not sent yet; 0 when all are.",
    labels: {},
  },
  berth_inbox_unapplied: {
    kind: "gauge",
    help: "The payment provider's deliveries that the state of the world does not follow yet.",
    labels: {},
  },
  berth_inbox_unapplied_age_seconds: {
    kind: "gauge",
    help: "Age of the oldest delivery that is not applied yet; 0 when all are.",
    labels: {},
  },
  berth_inbox_unhandled: {
    kind: "gauge",
    help: "Deliveries of the last week about a customer of ours that led to no order: money that no book knows.",
    labels: {},
  },
  berth_mail_waiting_age_seconds: {
    kind: "gauge",
    help: "For how long the mail has waited that waits longest to be sent; 0 when none does.",
    labels: {},
  },
  berth_usage_delay_seconds: {
    kind: "histogram",
    help: "How old the oldest sample of a batch of usage was when it came.",
    labels: {},
    buckets: [60, 300, 600, 1800, 3600, 21_600, 86_400, 259_200],
  },
  berth_hosts: { kind: "gauge", help: "Hosts by state.", labels: { state: HOST_STATES } },
  berth_hosts_silent: {
    kind: "gauge",
    help: "Enrolled hosts, not retired, that were not heard of for five minutes; counted up to 1000.",
    labels: {},
  },
  berth_findings_open: {
    kind: "gauge",
    help: "What is amiss with hosts and what is on them, by kind; 10000 are counted at most.",
    labels: { kind: TOLD_FINDINGS },
  },
} as const;

export type PlaneMetrics = Metrics<typeof PLANE_METRICS>;
