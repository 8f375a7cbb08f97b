import { z } from "@hono/zod-openapi";

const id = z.uuid();
/** Facts, past tense, versioned. They carry ids, not snapshots (style §4). */
export const EVENTS = {
  "order.placed.v1": z.object({ orderId: id }),
  "order.paid.v1": z.object({ orderId: id, vmId: id }),
  "order.expired.v1": z.object({ orderId: id }),
  "order.activated.v1": z.object({ orderId: id, vmId: id }),
  "order.completed.v1": z.object({ orderId: id, vmId: id }),
  "order.refund_fell_due.v1": z.object({ orderId: id }),
  "order.refunded.v1": z.object({ orderId: id }),
  "order.refund_failed.v1": z.object({ orderId: id }),
  "subscription.cancellation_fell_due.v1": z.object({ orderId: id, subscriptionId: z.string() }),
  "entitlement.changed.v1": z.object({ vmId: id }),
  "billing.frozen.v1": z.object({ orderId: id, vmId: id }),
  "billing.resumed.v1": z.object({ orderId: id, vmId: id }),
  "give_back.fell_due.v1": z.object({ giveBackId: id }),
  "give_back.made.v1": z.object({ giveBackId: id, vmId: id }),
  "plan_change.began.v1": z.object({ planChangeId: id, vmId: id }),
  "plan_change.fell_due.v1": z.object({ planChangeId: id }),
  "plan_change.committed.v1": z.object({ planChangeId: id, vmId: id }),
  "plan_change.reverted.v1": z.object({ planChangeId: id, vmId: id }),
  "plan_migration.began.v1": z.object({ planMigrationId: id }),
  "plan_migration.changed.v1": z.object({ planMigrationId: id }),
  "plan_migration.fell_due.v1": z.object({ planMigrationId: id }),
  "plan_migration.vm_ended.v1": z.object({ planMigrationId: id, vmId: id }),
  "move.began.v1": z.object({ moveId: id, vmId: id }),
  "move.released.v1": z.object({ moveId: id, vmId: id }),
  "move.turned_back.v1": z.object({ moveId: id, vmId: id }),
  "move.ended.v1": z.object({ moveId: id, vmId: id }),
  "vm.change_requested.v1": z.object({ vmId: id, hostId: id }),
  "vm.create_refused.v1": z.object({ orderId: id, vmId: id }),
  "vm.deleted.v1": z.object({ vmId: id }),
  "vm.relabelled.v1": z.object({ vmId: id }),
  "vm.protection_changed.v1": z.object({ vmId: id }),
  "vm.suspended.v1": z.object({ vmId: id }),
  "vm.unsuspended.v1": z.object({ vmId: id }),
  "vm.destroy_request_changed.v1": z.object({ vmId: id, requestId: id }),
  "service.end_said.v1": z.object({ vmId: id }),
  "service.end_told.v1": z.object({ vmId: id }),
  "vm.initial_password_taken.v1": z.object({ vmId: id }),
  "vm.initial_password_expired.v1": z.object({ vmId: id }),
  "action.finished.v1": z.object({ actionId: id, vmId: id }),
  "finding.opened.v1": z.object({ findingId: id, hostId: id }),
  "finding.ended.v1": z.object({ findingId: id, hostId: id }),
  "host.state_changed.v1": z.object({ hostId: id }),
  "maintenance.changed.v1": z.object({ windowId: id, hostId: id }),
  "maintenance.notice_fell_due.v1": z.object({ noticeId: id }),
  "agent_release.registered.v1": z.object({ releaseId: id }),
  "agent_rollout.began.v1": z.object({ rolloutId: id }),
  "agent_rollout.changed.v1": z.object({ rolloutId: id }),
  "host.upgrade_asked_for.v1": z.object({ hostId: id, rolloutId: id }),
  "host.upgrade_ended.v1": z.object({ hostId: id, rolloutId: id }),
  "account.link_asked_for.v1": z.object({ linkId: id }),
  "account.email_proven.v1": z.object({ accountId: id }),
  "account.closed.v1": z.object({ accountId: id }),
  "account.reopened.v1": z.object({ accountId: id }),
  "account.impersonation_began.v1": z.object({ accountId: id }),
  "account.impersonation_ended.v1": z.object({ accountId: id }),
} as const;
export type EventName = keyof typeof EVENTS;
export type Event = { [N in EventName]: { name: N; data: z.infer<(typeof EVENTS)[N]> } }[EventName];
export const EVENT_NAMES = Object.keys(EVENTS) as [EventName, ...EventName[]];

/**
 * Where the relay takes an event: to the doorbell of the host it names, to the queue of work that must be done
 * outside the transaction, or nowhere (it is kept as the record, for whoever subscribes).
 */
export const EVENT_ROUTE = {
  "order.placed.v1": "record",
  "order.paid.v1": "record",
  "order.expired.v1": "record",
  "order.activated.v1": "record",
  "order.completed.v1": "record",
  "order.refund_fell_due.v1": "work",
  "order.refunded.v1": "record",
  "order.refund_failed.v1": "record",
  "subscription.cancellation_fell_due.v1": "work",
  "entitlement.changed.v1": "record",
  "billing.frozen.v1": "record",
  "billing.resumed.v1": "record",
  "give_back.fell_due.v1": "work",
  "give_back.made.v1": "record",
  "plan_change.began.v1": "record",
  "plan_change.fell_due.v1": "work",
  "plan_change.committed.v1": "record",
  "plan_change.reverted.v1": "record",
  "plan_migration.began.v1": "record",
  "plan_migration.changed.v1": "record",
  "plan_migration.fell_due.v1": "work",
  "plan_migration.vm_ended.v1": "record",
  "move.began.v1": "record",
  "move.released.v1": "record",
  "move.turned_back.v1": "record",
  "move.ended.v1": "record",
  "vm.change_requested.v1": "doorbell",
  "vm.create_refused.v1": "work",
  "vm.deleted.v1": "record",
  "vm.relabelled.v1": "record",
  "vm.protection_changed.v1": "record",
  "vm.suspended.v1": "record",
  "vm.unsuspended.v1": "record",
  "vm.destroy_request_changed.v1": "record",
  "service.end_said.v1": "work",
  "service.end_told.v1": "record",
  "vm.initial_password_taken.v1": "record",
  "vm.initial_password_expired.v1": "record",
  "action.finished.v1": "record",
  "finding.opened.v1": "record",
  "finding.ended.v1": "record",
  "host.state_changed.v1": "record",
  "maintenance.changed.v1": "record",
  "maintenance.notice_fell_due.v1": "work",
  "agent_release.registered.v1": "record",
  "agent_rollout.began.v1": "record",
  "agent_rollout.changed.v1": "record",
  "host.upgrade_asked_for.v1": "record",
  "host.upgrade_ended.v1": "record",
  "account.link_asked_for.v1": "work",
  "account.email_proven.v1": "record",
  "account.closed.v1": "record",
  "account.reopened.v1": "record",
  "account.impersonation_began.v1": "record",
  "account.impersonation_ended.v1": "record",
} as const satisfies Record<EventName, "doorbell" | "work" | "record">;

/** An event on the queue of work. `id` is the outbox row's. */
export const EventEnvelope = z.object({
  id: z.uuid(),
  name: z.enum(EVENT_NAMES),
  data: z.unknown(),
});
/** What rings on `billing-events`: which inbox row to look at. */
export const BillingDoorbell = z.object({ source: z.literal("stripe"), messageId: z.string() });
export type BillingDoorbell = z.infer<typeof BillingDoorbell>;

/** Parses an event's data by its own schema; throws when it does not fit. */
export function parseEvent(name: EventName, data: unknown): Event {
  return { name, data: EVENTS[name].parse(data) } as Event;
}
