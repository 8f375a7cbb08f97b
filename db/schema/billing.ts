import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  foreignKey,
  index,
  integer,
  jsonb,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
  type AnyPgColumn,
} from "drizzle-orm/pg-core";
import { DUNNING_OUTCOMES, DUNNING_STATES } from "#core/billing/dunning.ts";
import { SUSPEND_DAYS } from "#core/billing/entitlement.ts";
import { CHANGE_MONEY } from "#core/billing/change-money.ts";
import { CHANGE_OUTCOMES, TURN_BACKS } from "#core/billing/plan-change.ts";
import { MIGRATION_STATES, MIGRATION_VM_STATES } from "#core/billing/plan-migration.ts";
import { PAYERS } from "#core/billing/service.ts";
import { CHANGE_MACHINE } from "#core/vms/change-machine.ts";
import { SUSPENSIONS } from "#core/billing/suspension.ts";
import { GIVE_BACK_WAYS } from "#core/billing/give-back.ts";
import { LEDGER_ACCOUNTS, LEDGER_KINDS } from "#core/billing/ledger.ts";
import { PAYS_BY } from "#core/billing/price-changes.ts";
import {
  CHANGE_BILLING,
  CHANGE_ORDERS,
  CHANGE_PRICES,
  CHANGE_WHEN,
  RESIZE_METHODS,
} from "#core/billing/quote.ts";
import { ASKED_WHEN_ENDED } from "#core/billing/settle-asked.ts";
import { accounts } from "./accounts.ts";
import { billingInterval, locations, plans, planVersions } from "./catalogue.ts";
import { currencyCode, instant, minorUnits } from "./columns.ts";
import { hosts } from "./hosts.ts";
import { moves } from "./moves.ts";
import { orders } from "./orders.ts";
import { actions, vms } from "./vms.ts";

export const askedWhenEnded = pgEnum("asked_when_ended", ASKED_WHEN_ENDED);

/**
 * What becomes of what is still asked for a service when it ends. Written by migrations alone; a row is never changed: another version
 * holds for what ends from its `from` on.
 */
export const endingPolicies = pgTable(
  "ending_policies",
  {
    version: integer("version").primaryKey(),
    asked: askedWhenEnded("asked").notNull(),
    from: instant("from").notNull(),
  },
  (t) => [uniqueIndex("ending_policies_from_key").on(t.from)],
);

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
    /** Staff let whoever pays keep the price of before: it is no price of this version. */
    priceKept: boolean("price_kept").notNull().default(false),
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
    /** How many days past all that it runs, by the policy that holds for its account (`dunning_policies`). */
    suspendDays: integer("suspend_days").notNull().default(SUSPEND_DAYS),
    /** A reminder came late: it runs until then. */
    warnedUntil: instant("warned_until"),
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
    /** When what its subscription still asked for was settled, after that had ended; null: it goes on, or is to be settled. */
    settledAt: instant("settled_at"),
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
    index("services_to_settle_idx")
      .on(sql`coalesce(${t.triedAt}, ${t.updatedAt})`)
      .where(
        sql`${t.subscriptionId} is not null and ${t.settledAt} is null
          and (${t.vmIsToGo} or ${t.subscriptionStatus} in ('canceled', 'incomplete_expired'))`,
      ),
    index("services_end_untold_idx")
      .on(sql`coalesce(${t.triedAt}, ${t.endSaidAt})`)
      .where(sql`${t.endUntold}`),
    // What may be owed: few of many.
    index("services_owed_idx")
      .on(t.entitledUntil)
      .where(sql`${t.subscriptionId} is not null and not ${t.vmIsToGo}`),
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

/**
 * How patient we are with what is owed: for everybody (`account_id` null), or for one account, whose newest row holds; without days it is as
 * everybody's again. Never changed. Everybody's are written by migrations alone, which set what services have by them.
 */
export const dunningPolicies = pgTable(
  "dunning_policies",
  {
    version: integer("version").primaryKey().generatedByDefaultAsIdentity(),
    accountId: uuid("account_id").references(() => accounts.id),
    suspendDays: integer("suspend_days"),
    terminateDays: integer("terminate_days"),
    deleteDays: integer("delete_days"),
    from: instant("from").notNull(),
    /** Who said so, and why; null: a migration. */
    saidBy: uuid("said_by").references(() => accounts.id),
    reason: text("reason"),
  },
  (t) => [
    index("dunning_policies_account_idx").on(t.accountId, t.version),
    check(
      "dunning_policies_whole",
      sql`num_nonnulls(${t.suspendDays}, ${t.terminateDays}, ${t.deleteDays}) in (0, 3)
        and (${t.accountId} is not null or ${t.suspendDays} is not null)`,
    ),
    check(
      "dunning_policies_days",
      sql`${t.suspendDays} >= 0 and ${t.terminateDays} >= 0 and ${t.deleteDays} >= 0`,
    ),
  ],
);

export const dunningState = pgEnum("dunning_state", DUNNING_STATES);
export const dunningOutcome = pgEnum("dunning_outcome", DUNNING_OUTCOMES);

/** What is owed for a VM, and how far that has led (`core/billing/dunning.ts`). One that has an outcome is over. */
export const dunnings = pgTable(
  "dunnings",
  {
    id: uuid("id").primaryKey(),
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    /** What is to be paid, or was ended. */
    subscriptionId: text("subscription_id").notNull(),
    policyVersion: integer("policy_version")
      .notNull()
      .references(() => dunningPolicies.version),
    state: dunningState("state").notNull(),
    /** When the step that led there was done. */
    stateAt: instant("state_at").notNull(),
    startedAt: instant("started_at").notNull(),
    /** When it was decided that its subscription ends: what is paid of that later goes back. null: it was not. */
    endingAt: instant("ending_at"),
    outcome: dunningOutcome("outcome"),
    endedAt: instant("ended_at"),
    /** The page where it is revived; until when that can be paid. */
    checkoutId: text("checkout_id"),
    checkoutUrl: text("checkout_url"),
    checkoutExpiresAt: instant("checkout_expires_at"),
    /** When its next step may fall due, or when it is tried again. */
    dueAt: instant("due_at").notNull(),
  },
  (t) => [
    uniqueIndex("dunnings_one_open_key")
      .on(t.vmId)
      .where(sql`${t.outcome} is null`),
    index("dunnings_vm_idx").on(t.vmId, t.id),
    index("dunnings_subscription_idx").on(t.subscriptionId),
    uniqueIndex("dunnings_checkout_key").on(t.checkoutId),
    index("dunnings_due_idx")
      .on(t.dueAt)
      .where(sql`${t.outcome} is null`),
    check("dunnings_ended_has_instant", sql`(${t.outcome} is null) = (${t.endedAt} is null)`),
    check(
      "dunnings_ending_was_decided",
      sql`${t.state} <> 'ending' or ${t.outcome} is not null or ${t.endingAt} is not null`,
    ),
    check(
      "dunnings_checkout_is_whole",
      sql`num_nonnulls(${t.checkoutId}, ${t.checkoutExpiresAt}) in (0, 2)`,
    ),
  ],
);

export const changeWhen = pgEnum("change_when", CHANGE_WHEN);
export const changeBilling = pgEnum("change_billing", CHANGE_BILLING);
export const changeOrder = pgEnum("change_order", CHANGE_ORDERS);
export const paysBy = pgEnum("pays_by", PAYS_BY);
export const resizeMethod = pgEnum("resize_method", RESIZE_METHODS);

/**
 * What was offered for a VM, to whom, until when. Never changed (a trigger refuses it) but for the action that takes it, once. One
 * that nobody took is purged; one that was taken stays, as what is charged by.
 */
export const resizeQuotes = pgTable(
  "resize_quotes",
  {
    id: uuid("id").primaryKey(),
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    askedBy: uuid("asked_by")
      .notNull()
      .references(() => accounts.id),
    when: changeWhen("when").notNull(),
    billing: changeBilling("billing").notNull(),
    order: changeOrder("order").notNull(),
    /** The default is for a function of the release before, which offers nothing that is due to who pays otherwise. */
    paysBy: paysBy("pays_by").notNull().default("card"),
    method: resizeMethod("method").notNull(),
    downSeconds: integer("down_seconds").notNull(),
    /** Both sides of it, and the lines of its money, as `db/billing/quotes.ts` reads them: looked at whole, never searched. */
    offered: jsonb("offered").notNull(),
    /** null, all four: nothing is asked of the provider. */
    dueNowMinor: minorUnits("due_now_minor"),
    creditMinor: minorUnits("credit_minor"),
    taxMinor: minorUnits("tax_minor"),
    currency: currencyCode(),
    at: instant("at").notNull(),
    appliesAt: instant("applies_at").notNull(),
    basis: text("basis").notNull(),
    createdAt: instant("created_at").notNull(),
    expiresAt: instant("expires_at").notNull(),
    /** The action that carries it out. Its key is checked at the commit, so that the quote may be taken first. */
    takenBy: uuid("taken_by").references(() => actions.id),
    takenAt: instant("taken_at"),
  },
  (t) => [
    uniqueIndex("resize_quotes_taken_by_key").on(t.takenBy),
    // What nobody took, for the purge.
    index("resize_quotes_untaken_idx")
      .on(t.expiresAt)
      .where(sql`${t.takenBy} is null`),
    check("resize_quotes_taken_whole", sql`(${t.takenBy} is null) = (${t.takenAt} is null)`),
    check(
      "resize_quotes_money_is_whole",
      sql`num_nonnulls(${t.dueNowMinor}, ${t.creditMinor}, ${t.taxMinor}, ${t.currency}) in (0, 4)
        and ${t.dueNowMinor} >= 0 and ${t.creditMinor} >= 0`,
    ),
    check(
      "resize_quotes_in_order",
      sql`${t.at} <= ${t.appliesAt} and ${t.createdAt} < ${t.expiresAt} and ${t.downSeconds} >= 0`,
    ),
  ],
);

export const changeMoney = pgEnum("change_money", CHANGE_MONEY);
export const changeMachine = pgEnum("change_machine", CHANGE_MACHINE);
export const changeOutcome = pgEnum("change_outcome", CHANGE_OUTCOMES);
export const turnBack = pgEnum("turn_back", TURN_BACKS);

/**
 * A change of what was bought, from the quote that was taken on: where its money is, where its machine is, and what became of
 * both. What it changes, and from what, its quote says.
 */
export const planChanges = pgTable(
  "plan_changes",
  {
    id: uuid("id").primaryKey(),
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    quoteId: uuid("quote_id")
      .notNull()
      .references(() => resizeQuotes.id),
    actionId: uuid("action_id")
      .notNull()
      .references(() => actions.id),
    subscriptionId: text("subscription_id"),
    money: changeMoney("money").notNull(),
    machine: changeMachine("machine").notNull(),
    turnedBack: turnBack("turned_back"),
    /** null: it is open. */
    outcome: changeOutcome("outcome"),
    fromPriceId: text("from_price_id"),
    toPriceId: text("to_price_id"),
    invoiceId: text("invoice_id"),
    checkoutId: text("checkout_id"),
    payUrl: text("pay_url"),
    /** The VM's generation that asks for the size which is to be seen. */
    generation: integer("generation"),
    payBy: instant("pay_by"),
    seeBy: instant("see_by"),
    createdAt: instant("created_at").notNull(),
    reservedAt: instant("reserved_at"),
    askedAt: instant("asked_at"),
    pricedAt: instant("priced_at"),
    appliedAt: instant("applied_at"),
    seenAt: instant("seen_at"),
    turnedBackAt: instant("turned_back_at"),
    machineBackAt: instant("machine_back_at"),
    endedAt: instant("ended_at"),
    /** Moves with whatever changes it or rings for it: who has looked before has not seen that. */
    version: integer("version").notNull().default(1),
    /** When the sweep looks at it next; null: it waits for what rings. */
    dueAt: instant("due_at"),
    /** One asks the provider at a time: what was begun before then may still be under way. */
    heldUntil: instant("held_until"),
  },
  (t) => [
    uniqueIndex("plan_changes_quote_key").on(t.quoteId),
    uniqueIndex("plan_changes_action_key").on(t.actionId),
    uniqueIndex("plan_changes_checkout_key").on(t.checkoutId),
    uniqueIndex("plan_changes_one_open_key")
      .on(t.vmId)
      .where(sql`${t.outcome} is null`),
    index("plan_changes_vm_idx").on(t.vmId, t.id),
    index("plan_changes_deadline_idx")
      .on(sql`coalesce(${t.seeBy}, ${t.payBy})`)
      .where(sql`${t.outcome} is null`),
    index("plan_changes_due_idx")
      .on(t.dueAt)
      .where(sql`${t.outcome} is null`),
    check("plan_changes_ended_has_instant", sql`(${t.outcome} is null) = (${t.endedAt} is null)`),
    check(
      "plan_changes_turned_back_has_instant",
      sql`(${t.turnedBack} is null) = (${t.turnedBackAt} is null)`,
    ),
    // Money and machine agree in the end, whatever failed.
    check(
      "plan_changes_committed_whole",
      sql`${t.outcome} <> 'committed' or (${t.turnedBack} is null and ${t.money} in ('exempt', 'applied')
        and ${t.machine} in ('none', 'seen'))`,
    ),
    check(
      "plan_changes_reverted_whole",
      sql`${t.outcome} <> 'reverted' or (${t.turnedBack} is not null and ${t.money} in ('exempt', 'dropped', 'undone')
        and ${t.machine} in ('none', 'untouched', 'reverted', 'gone'))`,
    ),
    // A host that was told of a size has a generation to show it at, and a machine that has it was seen.
    check(
      "plan_changes_told_has_generation",
      sql`${t.machine} not in ('applying', 'seen', 'reverting', 'reverted') or ${t.generation} is not null`,
    ),
    check("plan_changes_seen_has_instant", sql`${t.machine} <> 'seen' or ${t.seenAt} is not null`),
    check(
      "plan_changes_asked_has_prices",
      sql`${t.money} in ('exempt', 'not_asked', 'dropped')
        or num_nonnulls(${t.subscriptionId}, ${t.fromPriceId}, ${t.toPriceId}, ${t.askedAt}) = 4`,
    ),
  ],
);

export const planMigrationState = pgEnum("plan_migration_state", MIGRATION_STATES);
export const planMigrationVmState = pgEnum("plan_migration_vm_state", MIGRATION_VM_STATES);
export const changePrice = pgEnum("change_price", CHANGE_PRICES);

/** Many VMs on their way from one plan to another (`core/billing/plan-migration.ts`), from the dry run on. */
export const planMigrations = pgTable(
  "plan_migrations",
  {
    id: uuid("id").primaryKey(),
    askedBy: uuid("asked_by")
      .notNull()
      .references(() => accounts.id),
    reason: text("reason").notNull(),
    fromPlanId: uuid("from_plan_id")
      .notNull()
      .references(() => plans.id),
    /** null: VMs of whatever version but the one they are to have. */
    fromVersion: integer("from_version"),
    toPlanId: uuid("to_plan_id").notNull(),
    toVersion: integer("to_version").notNull(),
    /** To which VMs it is narrowed down; null, each: to none of these. */
    locationId: uuid("location_id").references(() => locations.id),
    hostId: uuid("host_id").references(() => hosts.id),
    accountId: uuid("account_id").references(() => accounts.id),
    interval: billingInterval("interval"),
    when: changeWhen("when").notNull(),
    price: changePrice("price").notNull(),
    maxParallel: integer("max_parallel").notNull(),
    stopAfterFailures: integer("stop_after_failures").notNull(),
    announceDays: integer("announce_days").notNull(),
    state: planMigrationState("state").notNull(),
    /** Of the dry run; null: that is not whole. */
    hash: text("hash"),
    /** So many could not, since it was begun, resumed or retried. */
    failures: integer("failures").notNull().default(0),
    createdAt: instant("created_at").notNull(),
    begunAt: instant("begun_at"),
    /** When anything of it last moved. */
    movedAt: instant("moved_at").notNull(),
    endedAt: instant("ended_at"),
    /** One worker at a time, until then. */
    heldUntil: instant("held_until"),
  },
  (t) => [
    foreignKey({
      name: "plan_migrations_to_version_fk",
      columns: [t.toPlanId, t.toVersion],
      foreignColumns: [planVersions.planId, planVersions.version],
    }),
    index("plan_migrations_open_idx")
      .on(t.id)
      .where(sql`${t.state} in ('running', 'paused')`),
    index("plan_migrations_hash_idx").on(t.hash),
    // Dry runs that nobody began, for the purge.
    index("plan_migrations_unbegun_idx")
      .on(t.createdAt)
      .where(sql`${t.begunAt} is null`),
    check("plan_migrations_reason_length", sql`length(${t.reason}) between 1 and 1000`),
    check(
      "plan_migrations_have_a_pace",
      sql`${t.maxParallel} > 0 and ${t.stopAfterFailures} > 0 and ${t.announceDays} >= 0 and ${t.failures} >= 0`,
    ),
    check("plan_migrations_planned_has_hash", sql`(${t.state} = 'planning') = (${t.hash} is null)`),
    check(
      "plan_migrations_begun_has_instant",
      sql`(${t.state} in ('planning', 'planned')) = (${t.begunAt} is null)`,
    ),
    check(
      "plan_migrations_ended_has_instant",
      sql`(${t.state} in ('done', 'stopped')) = (${t.endedAt} is not null)`,
    ),
  ],
);

/**
 * It has its turn, or what was begun in it goes on: said by what it is not, since a state that a migration adds cannot be named in it.
 */
export const migrationVmIsBusy = (state: AnyPgColumn) =>
  sql`${state} not in ('waiting', 'refused', 'done', 'failed', 'drifted', 'left_out')`;

/** Each VM of one, at most once: what was shown of it, and what became of that. */
export const planMigrationVms = pgTable(
  "plan_migration_vms",
  {
    migrationId: uuid("migration_id")
      .notNull()
      .references(() => planMigrations.id),
    vmId: uuid("vm_id")
      .notNull()
      .references(() => vms.id),
    accountId: uuid("account_id")
      .notNull()
      .references(() => accounts.id),
    state: planMigrationVmState("state").notNull(),
    fromVcpus: integer("from_vcpus").notNull(),
    fromMemoryMib: integer("from_memory_mib").notNull(),
    fromDiskGib: integer("from_disk_gib").notNull(),
    toDiskGib: integer("to_disk_gib").notNull(),
    method: resizeMethod("method").notNull(),
    downSeconds: integer("down_seconds").notNull(),
    /** null: nobody is asked for money, or the prices cannot be compared. */
    differenceMinor: minorUnits("difference_minor"),
    currency: currencyCode(),
    /** Codes, as a quote's. */
    refusals: text("refusals").array().notNull(),
    /** Its turn comes no sooner. */
    dueAt: instant("due_at").notNull(),
    /** When its owner was told of it. */
    announcedAt: instant("announced_at"),
    /** Where it moves to first, as the dry run found; null: it stays on its host. */
    toHostId: uuid("to_host_id").references(() => hosts.id),
    /** The last move that was begun for it. */
    moveId: uuid("move_id").references(() => moves.id),
    planChangeId: uuid("plan_change_id").references(() => planChanges.id),
    /** Why it is refused, drifted, was put off, or failed: `code: words`. */
    detail: text("detail"),
    endedAt: instant("ended_at"),
  },
  (t) => [
    primaryKey({ name: "plan_migration_vms_pkey", columns: [t.migrationId, t.vmId] }),
    // No VM has its turn in two migrations at once.
    uniqueIndex("plan_migration_vms_one_busy_key").on(t.vmId).where(migrationVmIsBusy(t.state)),
    index("plan_migration_vms_busy_idx")
      .on(t.migrationId, t.vmId)
      .where(migrationVmIsBusy(t.state)),
    uniqueIndex("plan_migration_vms_move_key").on(t.moveId),
    uniqueIndex("plan_migration_vms_change_key").on(t.planChangeId),
    index("plan_migration_vms_due_idx")
      .on(t.migrationId, t.dueAt, t.vmId)
      .where(sql`${t.state} = 'waiting'`),
    index("plan_migration_vms_untold_idx")
      .on(t.migrationId, t.accountId, t.vmId)
      .where(sql`${t.state} = 'waiting' and ${t.announcedAt} is null`),
    index("plan_migration_vms_state_idx").on(t.migrationId, t.state, t.vmId),
    check(
      "plan_migration_vms_difference_is_whole",
      sql`(${t.differenceMinor} is null) = (${t.currency} is null)`,
    ),
    check(
      "plan_migration_vms_begun_has_change",
      sql`${t.state} not in ('running', 'done') or ${t.planChangeId} is not null`,
    ),
    check(
      "plan_migration_vms_failed_was_begun",
      sql`${t.state} <> 'failed' or ${t.planChangeId} is not null or ${t.moveId} is not null`,
    ),
    // `moving` and `arrived`, by what they are not.
    check(
      "plan_migration_vms_moving_has_move",
      sql`${t.state} in ('waiting', 'refused', 'judging', 'running', 'done', 'failed', 'drifted', 'left_out')
        or ${t.moveId} is not null`,
    ),
    check(
      "plan_migration_vms_ended_has_instant",
      sql`(${t.state} in ('done', 'failed', 'drifted', 'left_out')) = (${t.endedAt} is not null)`,
    ),
  ],
);

/**
 * VMs whose size, price or plan was changed by whatever statement, kept by triggers: each is held against what was bought of it within
 * a minute, and leaves. No key on the VM: of two changes that overlap neither waits for the other, nor hides it.
 */
export const boughtChanges = pgTable("bought_changes", {
  seq: bigint("seq", { mode: "bigint" }).primaryKey().generatedAlwaysAsIdentity(),
  vmId: uuid("vm_id").notNull(),
});

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

/**
 * What is owed of one invoice for time that was paid and could not be used, and whether it has been given back: for a loss, or
 * as its payment came when what it is for had ended.
 */
export const giveBacks = pgTable(
  "give_backs",
  {
    id: uuid("id").primaryKey(),
    /** null: its payment came too late. */
    lossId: uuid("loss_id").references(() => losses.id),
    /** null: none was made, as its order was given up. */
    vmId: uuid("vm_id").references(() => vms.id),
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
    uniqueIndex("give_backs_crossed_once_key")
      .on(t.invoiceId)
      .where(sql`${t.lossId} is null`),
    check("give_backs_loss_has_vm", sql`${t.lossId} is null or ${t.vmId} is not null`),
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
    /** null: it is for no order. */
    orderId: uuid("order_id").references(() => orders.id),
    providerId: text("provider_id").notNull(),
    number: text("number"),
    status: text("status").notNull(),
    totalMinor: minorUnits("total_minor").notNull(),
    paidMinor: minorUnits("paid_minor").notNull(),
    currency: currencyCode().notNull(),
    hostedUrl: text("hosted_url"),
    createdAt: instant("created_at").notNull(),
    paidAt: instant("paid_at"),
    /** Why the provider could not send it: it is a draft that nobody can pay. null: it could. */
    stuckBecause: text("stuck_because"),
    /** Its payment crossed the end of what it is for, which was then; null: it did not. */
    crossedEndAt: instant("crossed_end_at"),
    /** When it was decided what of such a payment is given back. */
    settledAt: instant("settled_at"),
    /** When deciding that last failed: then the others have their turn first. */
    triedAt: instant("tried_at"),
  },
  (t) => [
    uniqueIndex("invoices_provider_key").on(t.providerId),
    index("invoices_account_idx").on(t.accountId, t.id),
    index("invoices_order_idx").on(t.orderId),
    index("invoices_stuck_idx")
      .on(t.orderId)
      .where(sql`${t.stuckBecause} is not null`),
    index("invoices_crossed_idx")
      .on(sql`coalesce(${t.triedAt}, ${t.crossedEndAt})`)
      .where(sql`${t.crossedEndAt} is not null and ${t.settledAt} is null`),
    check(
      "invoices_crossed_was_paid",
      sql`${t.crossedEndAt} is null or (${t.status} = 'paid' and ${t.paidAt} > ${t.crossedEndAt})`,
    ),
    check(
      "invoices_settled_has_crossed",
      sql`${t.settledAt} is null or ${t.crossedEndAt} is not null`,
    ),
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
    currency: text("currency").notNull(),
    /** null: the last one was deleted at the provider, and there is none yet in its place. */
    customerId: text("customer_id").unique("billing_customers_customer_key"),
    /** Which customer of this account and currency it is, from 1. */
    attempt: integer("attempt").notNull().default(1),
    /** The card that was theirs when their subscriptions were last brought in line with it; null: none was. */
    cardId: text("card_id"),
    /** Since when the provider is to be told of its account's new e-mail address; null: it was told. */
    addressDueSince: instant("address_due_since"),
  },
  (t) => [
    primaryKey({ name: "billing_customers_pkey", columns: [t.accountId, t.currency] }),
    index("billing_customers_address_due_idx")
      .on(t.addressDueSince)
      .where(sql`${t.addressDueSince} is not null`),
  ],
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
    /** A trigger fills it in by the order, for a function of the release before. */
    accountId: uuid("account_id")
      .notNull()
      .references(() => accounts.id),
    /** null: it is for no order. */
    orderId: uuid("order_id").references(() => orders.id),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    uniqueIndex("ledger_transactions_reference_key").on(t.kind, t.reference),
    index("ledger_transactions_order_idx").on(t.orderId),
    index("ledger_transactions_account_idx").on(t.accountId, t.id),
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
