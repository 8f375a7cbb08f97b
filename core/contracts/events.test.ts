import { describe, expect, test } from "vitest";
import { withField } from "#test/harness/with-field.ts";
import {
  BillingDoorbell,
  EVENT_NAMES,
  EVENT_ROUTE,
  EventEnvelope,
  parseEvent,
  type EventName,
} from "./events.ts";

const ORDER = "0199f0a2-b3c4-7d5e-8f90-000000000001";
const VM = "0199f0a2-b3c4-7d5e-8f90-000000000002";
const HOST = "0199f0a2-b3c4-7d5e-8f90-000000000003";
const ACTION = "0199f0a2-b3c4-7d5e-8f90-000000000004";
const LINK = "0199f0a2-b3c4-7d5e-8f90-000000000005";
const FINDING = "0199f0a2-b3c4-7d5e-8f90-000000000007";
const INVOICE = "0199f0a2-b3c4-7d5e-8f90-000000000020";
const GIVE_BACK = "0199f0a2-b3c4-7d5e-8f90-000000000008";
const RELEASE = "0199f0a2-b3c4-7d5e-8f90-000000000008";
const ROLLOUT = "0199f0a2-b3c4-7d5e-8f90-000000000009";
const PLAN_CHANGE = "0199f0a2-b3c4-7d5e-8f90-00000000000a";
const REQUEST = "0199f0a2-b3c4-7d5e-8f90-00000000000b";
const WINDOW = "0199f0a2-b3c4-7d5e-8f90-00000000000c";
const NOTICE = "0199f0a2-b3c4-7d5e-8f90-00000000000d";
const MIGRATION = "0199f0a2-b3c4-7d5e-8f90-00000000000e";
const MOVE = "0199f0a2-b3c4-7d5e-8f90-00000000000d";
const DRAIN = "0199f0a2-b3c4-7d5e-8f90-000000000d1a";
const ACCOUNT = "0199f0a2-b3c4-7d5e-8f90-000000000006";

/** What each event carries, all of it. Those that were stored once are read for good: a name's data never change. */
const DATA: Record<EventName, Record<string, string>> = {
  "order.placed.v1": { orderId: ORDER },
  "order.paid.v1": { orderId: ORDER, vmId: VM },
  "order.expired.v1": { orderId: ORDER },
  "order.activated.v1": { orderId: ORDER, vmId: VM },
  "order.completed.v1": { orderId: ORDER, vmId: VM },
  "order.refund_fell_due.v1": { orderId: ORDER },
  "order.refunded.v1": { orderId: ORDER },
  "order.refund_failed.v1": { orderId: ORDER },
  "subscription.cancellation_fell_due.v1": { orderId: ORDER, subscriptionId: "sub_1" },
  "entitlement.changed.v1": { vmId: VM },
  "billing.frozen.v1": { orderId: ORDER, vmId: VM },
  "billing.resumed.v1": { orderId: ORDER, vmId: VM },
  "dunning.changed.v1": { dunningId: GIVE_BACK, vmId: VM },
  "give_back.fell_due.v1": { giveBackId: GIVE_BACK },
  "give_back.made.v1": { giveBackId: GIVE_BACK, vmId: VM },
  "card.changed.v1": { accountId: ACCOUNT },
  "payment.crossed.v1": { invoiceId: INVOICE, orderId: ORDER },
  "plan_change.began.v1": { planChangeId: PLAN_CHANGE, vmId: VM },
  "plan_change.fell_due.v1": { planChangeId: PLAN_CHANGE },
  "plan_change.committed.v1": { planChangeId: PLAN_CHANGE, vmId: VM },
  "plan_change.reverted.v1": { planChangeId: PLAN_CHANGE, vmId: VM },
  "plan_migration.began.v1": { planMigrationId: MIGRATION },
  "plan_migration.changed.v1": { planMigrationId: MIGRATION },
  "plan_migration.fell_due.v1": { planMigrationId: MIGRATION },
  "plan_migration.vm_ended.v1": { planMigrationId: MIGRATION, vmId: VM },
  "move.began.v1": { moveId: MOVE, vmId: VM },
  "move.released.v1": { moveId: MOVE, vmId: VM },
  "move.turned_back.v1": { moveId: MOVE, vmId: VM },
  "move.ended.v1": { moveId: MOVE, vmId: VM },
  "drain.began.v1": { drainId: DRAIN, hostId: HOST },
  "drain.fell_due.v1": { drainId: DRAIN },
  "drain.ended.v1": { drainId: DRAIN, hostId: HOST },
  "vm.change_requested.v1": { vmId: VM, hostId: HOST },
  "vm.create_refused.v1": { orderId: ORDER, vmId: VM },
  "vm.deleted.v1": { vmId: VM },
  "vm.relabelled.v1": { vmId: VM },
  "vm.protection_changed.v1": { vmId: VM },
  "vm.suspended.v1": { vmId: VM },
  "vm.unsuspended.v1": { vmId: VM },
  "vm.destroy_request_changed.v1": { vmId: VM, requestId: REQUEST },
  "service.end_said.v1": { vmId: VM },
  "service.end_told.v1": { vmId: VM },
  "host.state_changed.v1": { hostId: HOST },
  "maintenance.changed.v1": { windowId: WINDOW, hostId: HOST },
  "maintenance.notice_fell_due.v1": { noticeId: NOTICE },
  "account.closed.v1": { accountId: ACCOUNT },
  "account.reopened.v1": { accountId: ACCOUNT },
  "account.impersonation_began.v1": { accountId: ACCOUNT },
  "account.impersonation_ended.v1": { accountId: ACCOUNT },
  "vm.initial_password_taken.v1": { vmId: VM },
  "vm.initial_password_expired.v1": { vmId: VM },
  "action.finished.v1": { actionId: ACTION, vmId: VM },
  "finding.opened.v1": { findingId: FINDING, hostId: HOST },
  "finding.ended.v1": { findingId: FINDING, hostId: HOST },
  "agent_release.registered.v1": { releaseId: RELEASE },
  "agent_rollout.began.v1": { rolloutId: ROLLOUT },
  "agent_rollout.changed.v1": { rolloutId: ROLLOUT },
  "host.upgrade_asked_for.v1": { hostId: HOST, rolloutId: ROLLOUT },
  "host.upgrade_ended.v1": { hostId: HOST, rolloutId: ROLLOUT },
  "account.link_asked_for.v1": { linkId: LINK },
  "account.email_proven.v1": { accountId: ACCOUNT },
  "account.email_changed.v1": { accountId: ACCOUNT },
};

describe.each(EVENT_NAMES)("%s", (name) => {
  const data = DATA[name];

  test("is read with all that it carries, and without what it does not", () => {
    expect(parseEvent(name, { ...data, password: "a secret" })).toEqual({ name, data });
  });

  test.each(Object.keys(data))("is not read without its %s", (field) => {
    expect(() => parseEvent(name, withField(data, field, undefined))).toThrow(field);
    expect(() => parseEvent(name, withField(data, field, 1))).toThrow(field);
  });
});

test("an event's ids are bare ones", () => {
  expect(() =>
    parseEvent("vm.deleted.v1", { vmId: "vm_0199f0a2b3c47d5e8f90000000000002" }),
  ).toThrow("vmId");
});

test("only what somebody must do leaves the record", () => {
  const to = (route: string) => EVENT_NAMES.filter((name) => EVENT_ROUTE[name] === route);
  expect(to("work")).toEqual([
    "order.refund_fell_due.v1",
    "subscription.cancellation_fell_due.v1",
    "give_back.fell_due.v1",
    "payment.crossed.v1",
    "plan_change.fell_due.v1",
    "plan_migration.fell_due.v1",
    "drain.fell_due.v1",
    "vm.create_refused.v1",
    "service.end_said.v1",
    "maintenance.notice_fell_due.v1",
    "account.link_asked_for.v1",
    "account.email_changed.v1",
  ]);
  expect(to("doorbell")).toEqual(["vm.change_requested.v1"]);
});

describe("on a queue", () => {
  const ENVELOPE = { id: ORDER, name: "order.refund_fell_due.v1", data: { orderId: ORDER } };

  test("an event is told by the outbox's row and its name, and its data are not read yet", () => {
    expect(EventEnvelope.parse(ENVELOPE)).toEqual(ENVELOPE);
    expect(EventEnvelope.parse({ ...ENVELOPE, data: 5 })).toEqual({ ...ENVELOPE, data: 5 });
    expect(EventEnvelope.safeParse({ ...ENVELOPE, id: "row 1" }).success).toBe(false);
    expect(EventEnvelope.safeParse({ ...ENVELOPE, name: "order.refunded.v2" }).success).toBe(false);
  });

  test("a billing message is named, and nothing more", () => {
    const doorbell = { source: "stripe", messageId: "evt_1" };
    expect(BillingDoorbell.parse({ ...doorbell, paid: true })).toEqual(doorbell);
    expect(BillingDoorbell.safeParse({ ...doorbell, source: "" }).success).toBe(false);
    expect(BillingDoorbell.safeParse({ source: "stripe" }).success).toBe(false);
  });
});
