import type { Event } from "#core/contracts/events.ts";
import type { AgentErrorCode } from "#core/contracts/agent/report.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { spanMs } from "#core/vms/judge-report.ts";
import { OBSERVATION_FRESH_MS } from "#core/vms/status.ts";
import { whyNotPaid, type Settled } from "./order-price.ts";
import { nextOrderState, type Order, type OrderCommand, type OrderState } from "./order.ts";

/** How long an unpaid order holds its place. Stripe allows a Checkout Session 30 minutes to 24 hours. */
export const ORDER_HOLD_MS = 30 * 60_000;
/**
 * From payment to a VM that was seen running; after it, and the time to prove one that runs, the money goes back by
 * itself.
 */
export const PROVISIONING_DEADLINE_MS = 2 * 60 * 60_000;
/**
 * A VM that was seen running for so long, over all its boots, counts as delivered without a word from its guest: not
 * every image speaks, and no guest earns a refund by its silence.
 */
export const SILENT_GUEST_MS = 10 * 60_000;

export type OrderDecision = Readonly<{ order: Order; events: readonly Event[] }>;
export type OrderRefusal = Refusal<"order_wrong_state" | "order_underpaid">;

const DONE: Record<OrderCommand, readonly OrderState[]> = {
  confirm_payment: ["paid", "active", "completed", "refunding", "refunded"],
  expire: ["expired"],
  activate: ["active", "completed"],
  complete: ["completed"],
  refund: ["refunding", "refunded"],
  confirm_refund: ["refunded"],
  fail_refund: ["refunding"],
};

/** Moves an order. A command that is already true succeeds without events, so that it may be repeated. */
export function moveOrder(
  order: Order,
  command: OrderCommand,
  events: readonly Event[],
): Result<OrderDecision, OrderRefusal> {
  if (DONE[command].includes(order.state)) return ok({ order, events: [] });
  const state = nextOrderState(order.state, command);
  if (!state) return refuse("order_wrong_state", `cannot ${command} while ${order.state}`);
  return ok({ order: { ...order, state }, events });
}

/**
 * What was due was paid, or nothing was: the order keeps what it came to. Anything else is refused (`whyNotPaid`), which cannot
 * happen with our own Checkout Sessions. `settled` is null in a currency that we do not know.
 */
export function decideConfirmPayment(
  order: Order,
  settled: Settled | null,
  now: Date,
): Result<OrderDecision, OrderRefusal> {
  const why = whyNotPaid(order, settled);
  if (settled === null || why !== null) return refuse("order_underpaid", why ?? "");
  const moved = moveOrder(order, "confirm_payment", [
    { name: "order.paid.v1", data: { orderId: order.id, vmId: order.vmId } },
  ]);
  if (!moved.ok || moved.value.events.length === 0) return moved;
  // What a trial takes off stands from the beginning.
  const { discountMinor, taxMinor } = order.trialPolicy === null ? settled : order;
  return ok({
    ...moved.value,
    order: { ...moved.value.order, discountMinor, taxMinor, paidAt: now },
  });
}

/** What is known of a VM whose guest was not seen to be up. */
export type UnprovenVm = Readonly<{
  firstSeenAt: Date | null;
  firstRunningAt: Date | null;
  runningSince: Date | null;
  ranMs: number;
  lastErrorCode: string | null;
  hostLastSeenAt: Date | null;
}>;

/**
 * Errors with which a host refuses to make a VM for good: trying again changes nothing, and waiting helps nobody. One that
 * wants room, or a newer agent, may be made yet.
 */
const REFUSED_FOR_GOOD: ReadonlySet<string> = new Set<AgentErrorCode>([
  "image_missing",
  "unsupported",
  "beyond_limits",
]);

/** Whether the VM will never be made: its host has never had it, and says that it will not. */
export const isRefusedForGood = (
  vm: Readonly<{ firstSeenAt: Date | null; lastErrorCode: string | null }>,
): boolean =>
  vm.firstSeenAt === null && vm.lastErrorCode !== null && REFUSED_FOR_GOOD.has(vm.lastErrorCode);

/**
 * Errors that no guest can bring about: the host lacks what the VM needs. `driver_failed` is not among them: a guest that
 * powers off as soon as it boots makes a start that "had no lasting effect".
 */
const FAULTS_OF_HOSTS: ReadonlySet<string> = new Set<AgentErrorCode>([
  "image_missing",
  "out_of_disk",
  "out_of_memory",
  "vm_missing",
  "hypervisor_unavailable",
  "not_ours",
  "stale_epoch",
  "beyond_limits",
  "unsupported",
  "unsupported_by_agent",
]);

/**
 * What to do with an order that was paid and has no proof of a VM yet. Only what the host failed to make is given back
 * (invariant 26): once the VM was seen running, nothing that its guest does, by its name, its silence or its power, leads
 * to a refund.
 */
export function decideUnprovenOrder(
  order: Order,
  seen: UnprovenVm,
  now: Date,
): "wait" | "activate" | "refund" {
  if (order.state !== "paid" || order.paidAt === null) return "wait";
  const { firstRunningAt, runningSince, hostLastSeenAt } = seen;
  const waited = +now - +order.paidAt;
  if (isRefusedForGood(seen)) return "refund";
  if (firstRunningAt === null) return waited >= PROVISIONING_DEADLINE_MS ? "refund" : "wait";
  // To the last word of its host, and no further: a host that died ten minutes ago says nothing of what runs.
  if (seen.ranMs + spanMs(runningSince, hostLastSeenAt) >= SILENT_GUEST_MS) return "activate";
  if (waited < PROVISIONING_DEADLINE_MS + SILENT_GUEST_MS) return "wait";
  const hostIsHeard = hostLastSeenAt !== null && +now - +hostLastSeenAt <= OBSERVATION_FRESH_MS;
  const hostFailed =
    runningSince === null && seen.lastErrorCode !== null && FAULTS_OF_HOSTS.has(seen.lastErrorCode);
  return hostIsHeard && !hostFailed ? "activate" : "refund";
}
