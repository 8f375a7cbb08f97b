import { sql } from "drizzle-orm";
import {
  boolean,
  check,
  cidr,
  foreignKey,
  index,
  integer,
  pgEnum,
  pgTable,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { TRIAL_OUTCOMES } from "#core/orders/trial.ts";
import { ORDER_STATES } from "#core/orders/order.ts";
import { accounts } from "./accounts.ts";
import { billingInterval, images, locations, planVersions, trialPolicies } from "./catalogue.ts";
import { currencyCode, instant, minorUnits } from "./columns.ts";
import { hosts } from "./hosts.ts";

export const orderState = pgEnum("order_state", ORDER_STATES);

export const orders = pgTable(
  "orders",
  {
    id: uuid("id").primaryKey(),
    accountId: uuid("account_id")
      .notNull()
      .references(() => accounts.id),
    vmId: uuid("vm_id").notNull(),
    state: orderState("state").notNull(),
    planId: uuid("plan_id").notNull(),
    /** What was on sale when it was placed: it is that which it sells, whenever it is paid. */
    planVersion: integer("plan_version").notNull(),
    imageId: uuid("image_id")
      .notNull()
      .references(() => images.id),
    locationId: uuid("location_id")
      .notNull()
      .references(() => locations.id),
    hostname: text("hostname").notNull(),
    sshKeys: text("ssh_keys").array().notNull(),
    userData: text("user_data"),
    rootPassword: boolean("root_password").notNull().default(false),
    billingInterval: billingInterval("billing_interval").notNull(),
    /** The list price: the column has its name from when an order came to that, and functions of the release before write it. */
    listMinor: minorUnits("total_minor").notNull(),
    discountMinor: minorUnits("discount_minor")
      .notNull()
      .default(sql`0`),
    taxMinor: minorUnits("tax_minor")
      .notNull()
      .default(sql`0`),
    currency: currencyCode().notNull(),
    checkoutId: text("checkout_id"),
    /** Where it is paid: its session's page, or that of the first invoice of a subscription whose card's bank asks its holder. */
    checkoutUrl: text("checkout_url"),
    /** It is charged to a card on file, and has no session. */
    byCard: boolean("by_card").notNull().default(false),
    /** Which card, at the provider: chosen once, before anything is charged. */
    cardId: text("card_id"),
    /** What was started with it. */
    subscriptionId: text("subscription_id"),
    /** By which terms it begins with a trial. */
    trialPolicy: integer("trial_policy").references(() => trialPolicies.version),
    /** Why the card paid nothing: the bank's own code, or that there is no card; or why its trial was refused. */
    declineCode: text("decline_code"),
    expiresAt: instant("expires_at").notNull(),
    paidAt: instant("paid_at"),
    /** When a sweep last failed with it: then the others have their turn first. */
    triedAt: instant("tried_at"),
    createdAt: instant("created_at").notNull(),
    newcomer: boolean("newcomer").notNull().default(false),
    /** Where a newcomer ordered from: kept while the order is unpaid, half an hour, and no longer. */
    network: cidr("network"),
    version: integer("version").notNull().default(1),
  },
  (t) => [
    foreignKey({
      name: "orders_plan_version_fk",
      columns: [t.planId, t.planVersion],
      foreignColumns: [planVersions.planId, planVersions.version],
    }),
    uniqueIndex("orders_vm_key").on(t.vmId),
    uniqueIndex("orders_checkout_key").on(t.checkoutId),
    uniqueIndex("orders_subscription_key").on(t.subscriptionId),
    index("orders_account_idx").on(t.accountId, t.id),
    index("orders_state_idx").on(t.state, t.id),
    index("orders_unpaid_idx")
      .on(t.expiresAt)
      .where(sql`${t.state} = 'awaiting_payment'`),
    index("orders_unproven_idx")
      .on(t.paidAt)
      .where(sql`${t.state} in ('paid', 'refunding')`),
    index("orders_newcomers_idx")
      .on(t.locationId)
      .where(sql`${t.state} = 'awaiting_payment' and ${t.newcomer}`),
    index("orders_network_idx")
      .on(t.network)
      .where(sql`${t.network} is not null`),
    index("orders_expired_idx")
      .on(t.expiresAt)
      .where(sql`${t.state} = 'expired'`),
    check("orders_network_of_newcomers", sql`${t.network} is null or ${t.newcomer}`),
    check(
      "orders_by_card_or_page",
      sql`case when ${t.byCard} then ${t.checkoutId} is null
        else num_nonnulls(${t.cardId}, ${t.subscriptionId}) = 0
          and (${t.declineCode} is null or ${t.trialPolicy} is not null) end`,
    ),
    check("orders_trial_on_a_page", sql`${t.trialPolicy} is null or not ${t.byCard}`),
    check("orders_total_positive", sql`${t.listMinor} > 0`),
    // What is due may be nothing, and never less.
    check(
      "orders_due_not_negative",
      sql`${t.discountMinor} between 0 and ${t.listMinor} + ${t.taxMinor} and ${t.taxMinor} >= 0`,
    ),
    check(
      "orders_paid_has_instant",
      sql`${t.state} not in ('paid', 'active', 'completed') or ${t.paidAt} is not null`,
    ),
  ],
);

export const trialOutcome = pgEnum("trial_outcome", TRIAL_OUTCOMES);

/** VMs that are, or were, tried: one for each account, and one for each card. One whose VM was never made counts as none. */
export const trials = pgTable(
  "trials",
  {
    orderId: uuid("order_id")
      .primaryKey()
      .references(() => orders.id),
    accountId: uuid("account_id")
      .notNull()
      .references(() => accounts.id),
    vmId: uuid("vm_id").notNull(),
    policyVersion: integer("policy_version")
      .notNull()
      .references(() => trialPolicies.version),
    /** The provider's, of the card that was given: it tells nothing of the card, and knows it again. null: none was asked for. */
    fingerprint: text("fingerprint"),
    startedAt: instant("started_at").notNull(),
    endsAt: instant("ends_at").notNull(),
    /** When its owner is told that it ends, and when that was. */
    noticeAt: instant("notice_at").notNull(),
    toldAt: instant("told_at"),
    outcome: trialOutcome("outcome"),
    endedAt: instant("ended_at"),
  },
  (t) => [
    uniqueIndex("trials_one_an_account_key")
      .on(t.accountId)
      .where(sql`${t.outcome} is distinct from 'not_made'`),
    uniqueIndex("trials_one_a_card_key")
      .on(t.fingerprint)
      .where(sql`${t.outcome} is distinct from 'not_made'`),
    index("trials_open_idx")
      .on(t.endsAt)
      .where(sql`${t.outcome} is null`),
    index("trials_to_tell_idx")
      .on(t.noticeAt)
      .where(sql`${t.outcome} is null and ${t.toldAt} is null`),
    check("trials_ended_has_instant", sql`(${t.outcome} is null) = (${t.endedAt} is null)`),
    check("trials_in_order", sql`${t.noticeAt} <= ${t.endsAt}`),
  ],
);

/** A place on a host that is held for a VM: from its order on, if it has one, and until it is gone. */
export const reservations = pgTable(
  "reservations",
  {
    id: uuid("id").primaryKey(),
    vmId: uuid("vm_id").notNull(),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    vcpus: integer("vcpus").notNull(),
    memoryMib: integer("memory_mib").notNull(),
    diskGib: integer("disk_gib").notNull(),
    /** At the other end of a move: the VM is not this host's yet, or no longer. Beside the VM's home there is one at most. */
    byMove: boolean("by_move").notNull().default(false),
    createdAt: instant("created_at").notNull(),
    releasedAt: instant("released_at"),
  },
  (t) => [
    uniqueIndex("reservations_held_vm_key")
      .on(t.vmId)
      .where(sql`${t.releasedAt} is null and not ${t.byMove}`),
    index("reservations_vm_idx").on(t.vmId),
    index("reservations_host_idx").on(t.hostId),
  ],
);
