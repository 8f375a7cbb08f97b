import { sql } from "drizzle-orm";
import {
  boolean,
  check,
  foreignKey,
  index,
  integer,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { PAYERS } from "#core/billing/service.ts";
import { SUSPENSIONS } from "#core/billing/suspension.ts";
import { GIVE_BACK_WAYS } from "#core/billing/give-back.ts";
import { LEDGER_ACCOUNTS, LEDGER_KINDS } from "#core/billing/ledger.ts";
import { accounts } from "./accounts.ts";
import { billingInterval, planVersions } from "./catalogue.ts";
import { currencyCode, instant, minorUnits } from "./columns.ts";
import { orders } from "./orders.ts";
import { vms } from "./vms.ts";

export const payer = pgEnum("payer", PAYERS);
export const suspension = pgEnum("suspension", SUSPENSIONS);

/**
 * What was bought: of each VM its plan's version, its price, who pays and until when it may run. However it was bought: an order
 * leads to one by its VM's id, and no VM is without one (a foreign key of `vms`).
 */
export const services = pgTable(
  "services",
  {
    vmId: uuid("vm_id").primaryKey(),
    planId: uuid("plan_id").notNull(),
    planVersion: integer("plan_version").notNull(),
    payer: payer("payer").notNull(),
    /** What is paid for each interval; null, all three: whoever pays keeps the price, or there is none. */
    interval: billingInterval("interval"),
    amountMinor: minorUnits("amount_minor"),
    currency: currencyCode(),
    subscriptionId: text("subscription_id"),
    subscriptionStatus: text("subscription_status"),
    /** Its `version` when we last looked (core/billing/payments.ts); null: an event of it may tell us something. */
    subscriptionVersion: text("subscription_version"),
    /** The right to run ends then. */
    entitledUntil: instant("entitled_until").notNull(),
    /** What staff added to it, for good, and until when it may run by that alone. */
    grantedDays: integer("granted_days").notNull().default(0),
    grantedUntil: instant("granted_until"),
    /** It is not stopped for debt before then. */
    neverSuspendUntil: instant("never_suspend_until"),
    /** Why it may not run though it is paid: a set, in no order. */
    suspensions: suspension("suspensions")
      .array()
      .notNull()
      .default(sql`'{}'`),
    /** It is to end with the period that is paid. */
    endWanted: boolean("end_wanted").notNull().default(false),
    /** When that was last said, or taken back; null: never. */
    endSaidAt: instant("end_said_at"),
    /** The provider was not told of it yet, or nobody knows whether it was. */
    endUntold: boolean("end_untold").notNull().default(false),
    /** When it ends, as the provider says; null: it goes on. */
    cancelAt: instant("cancel_at"),
    /** Its VM is to be gone, or is: what bills for it is to end. Kept by triggers on this table and on `vms`. */
    vmIsToGo: boolean("vm_is_to_go").notNull().default(false),
    /** Since when nothing is billed for it, as its VM is lost; null: it is billed. */
    frozenAt: instant("frozen_at"),
    /** The provider was asked to freeze it, or to bill again, and nobody knows yet which of the two it does. */
    freezeUnsure: boolean("freeze_unsure").notNull().default(false),
    /** When ending its subscription last failed: then the others have their turn first. */
    triedAt: instant("tried_at"),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    foreignKey({
      name: "services_plan_version_fk",
      columns: [t.planId, t.planVersion],
      foreignColumns: [planVersions.planId, planVersions.version],
    }),
    // Staff's lists of VMs of a plan, the newest first.
    index("services_of_plan_idx").on(t.planId, t.vmId),
    uniqueIndex("services_subscription_key").on(t.subscriptionId),
    index("services_frozen_idx")
      .on(t.frozenAt)
      .where(sql`${t.frozenAt} is not null`),
    index("services_to_cancel_idx")
      .on(sql`coalesce(${t.triedAt}, ${t.updatedAt})`)
      .where(
        sql`${t.vmIsToGo} and ${t.subscriptionId} is not null
          and ${t.subscriptionStatus} not in ('canceled', 'incomplete_expired')`,
      ),
    index("services_end_untold_idx")
      .on(sql`coalesce(${t.triedAt}, ${t.endSaidAt})`)
      .where(sql`${t.endUntold}`),
    index("services_to_end_idx")
      .on(t.cancelAt)
      .where(sql`${t.endWanted} and not ${t.vmIsToGo}`),
    check(
      "services_granted_is_whole",
      sql`(${t.grantedDays} > 0) = (${t.grantedUntil} is not null)`,
    ),
    check(
      "services_end_was_said",
      sql`not (${t.endWanted} or ${t.endUntold}) or ${t.endSaidAt} is not null`,
    ),
    check(
      "services_price_is_whole",
      sql`num_nonnulls(${t.interval}, ${t.amountMinor}, ${t.currency}) in (0, 3) and ${t.amountMinor} > 0`,
    ),
    // What Stripe collects has a price here, and nobody else has a subscription there.
    check(
      "services_stripe_has_a_price",
      sql`(${t.payer} <> 'stripe' or ${t.amountMinor} is not null)
        and (${t.payer} = 'stripe' or num_nonnulls(${t.subscriptionId}, ${t.subscriptionStatus}, ${t.subscriptionVersion}) = 0)`,
    ),
  ],
);

/** A time in which a VM was not there, and could not be used for what was paid. */
export const losses = pgTable(
  "losses",
  {
    id: uuid("id").primaryKey(),
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    orderId: uuid("order_id")
      .notNull()
      .references(() => orders.id),
    /** When its host was last heard of without a word of the loss. */
    since: instant("since").notNull(),
    /** When it was seen whole again; null: it was not. */
    until: instant("until"),
    /** Up to when it is settled what is given back for it. */
    settledUntil: instant("settled_until").notNull(),
    /** When all of it is. */
    settledAt: instant("settled_at"),
    /** When settling it last failed: then the others have their turn first. */
    triedAt: instant("tried_at"),
  },
  (t) => [
    uniqueIndex("losses_one_open_key")
      .on(t.vmId)
      .where(sql`${t.until} is null and ${t.settledAt} is null`),
    index("losses_vm_idx").on(t.vmId),
    index("losses_unsettled_idx")
      .on(sql`coalesce(${t.triedAt}, ${t.since})`)
      .where(sql`${t.settledAt} is null`),
    check(
      "losses_in_order",
      sql`${t.since} <= ${t.settledUntil} and ${t.since} <= coalesce(${t.until}, ${t.since})`,
    ),
  ],
);

export const giveBackWay = pgEnum("give_back_way", GIVE_BACK_WAYS);

/** What is owed of one invoice for time that was paid and could not be used, and whether it has been given back. */
export const giveBacks = pgTable(
  "give_backs",
  {
    id: uuid("id").primaryKey(),
    lossId: uuid("loss_id")
      .notNull()
      .references(() => losses.id),
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    orderId: uuid("order_id")
      .notNull()
      .references(() => orders.id),
    /** The provider's: of the invoice, and of the customer or the payment that gets it. */
    invoiceId: text("invoice_id").notNull(),
    way: giveBackWay("way").notNull(),
    payee: text("payee").notNull(),
    from: instant("from").notNull(),
    until: instant("until").notNull(),
    amountMinor: minorUnits("amount_minor").notNull(),
    currency: currencyCode().notNull(),
    createdAt: instant("created_at").notNull(),
    /** The provider's transaction or refund; null: it is still to be made. */
    providerId: text("provider_id"),
    madeAt: instant("made_at"),
    triedAt: instant("tried_at"),
  },
  (t) => [
    uniqueIndex("give_backs_once_key").on(t.lossId, t.invoiceId, t.from),
    uniqueIndex("give_backs_provider_key").on(t.providerId),
    index("give_backs_invoice_idx").on(t.invoiceId),
    index("give_backs_due_idx")
      .on(sql`coalesce(${t.triedAt}, ${t.createdAt})`)
      .where(sql`${t.madeAt} is null`),
    check("give_backs_positive", sql`${t.amountMinor} > 0 and ${t.from} < ${t.until}`),
    check("give_backs_made_has_id", sql`(${t.madeAt} is null) = (${t.providerId} is null)`),
  ],
);

/** Invoices as the provider last showed them. */
export const invoices = pgTable(
  "invoices",
  {
    id: uuid("id").primaryKey(),
    accountId: uuid("account_id")
      .notNull()
      .references(() => accounts.id),
    orderId: uuid("order_id")
      .notNull()
      .references(() => orders.id),
    providerId: text("provider_id").notNull(),
    number: text("number"),
    status: text("status").notNull(),
    totalMinor: minorUnits("total_minor").notNull(),
    paidMinor: minorUnits("paid_minor").notNull(),
    currency: currencyCode().notNull(),
    hostedUrl: text("hosted_url"),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    uniqueIndex("invoices_provider_key").on(t.providerId),
    index("invoices_account_idx").on(t.accountId, t.id),
    index("invoices_order_idx").on(t.orderId),
    // Staff look for them by what their number begins with.
    index("invoices_number_idx").on(sql`lower(${t.number}) collate "C"`, t.id),
  ],
);

/** An account as the payment provider knows it. */
/** The provider bills one customer in one currency. */
export const billingCustomers = pgTable(
  "billing_customers",
  {
    accountId: uuid("account_id")
      .notNull()
      .references(() => accounts.id),
    /** The default is for a function of the release before, which names none, while this one is rolled out. */
    currency: text("currency").notNull().default("usd"),
    /** null: the last one was deleted at the provider, and there is none yet in its place. */
    customerId: text("customer_id").unique("billing_customers_customer_key"),
    /** Which customer of this account and currency it is, from 1. */
    attempt: integer("attempt").notNull().default(1),
  },
  (t) => [primaryKey({ name: "billing_customers_pkey", columns: [t.accountId, t.currency] })],
);

export const ledgerAccount = pgEnum("ledger_account", LEDGER_ACCOUNTS);
export const ledgerKind = pgEnum("ledger_kind", LEDGER_KINDS);

/** Append-only (a trigger refuses update and delete); balanced at commit (a deferred constraint trigger). */
export const ledgerTransactions = pgTable(
  "ledger_transactions",
  {
    id: uuid("id").primaryKey(),
    kind: ledgerKind("kind").notNull(),
    reference: text("reference").notNull(),
    orderId: uuid("order_id")
      .notNull()
      .references(() => orders.id),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    uniqueIndex("ledger_transactions_reference_key").on(t.kind, t.reference),
    index("ledger_transactions_order_idx").on(t.orderId),
  ],
);

export const ledgerEntries = pgTable(
  "ledger_entries",
  {
    id: uuid("id").primaryKey(),
    transactionId: uuid("transaction_id")
      .notNull()
      .references(() => ledgerTransactions.id),
    account: ledgerAccount("account").notNull(),
    amountMinor: minorUnits("amount_minor").notNull(),
    currency: currencyCode().notNull(),
  },
  (t) => [
    index("ledger_entries_transaction_idx").on(t.transactionId),
    check("ledger_entries_not_zero", sql`${t.amountMinor} <> 0`),
  ],
);
