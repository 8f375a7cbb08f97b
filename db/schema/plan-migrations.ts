import { sql } from "drizzle-orm";
import {
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
import { MIGRATION_STATES, MIGRATION_VM_STATES } from "#core/billing/plan-migration.ts";
import { CHANGE_PRICES } from "#core/billing/quote.ts";
import { accounts } from "./accounts.ts";
import { changeWhen, planChanges, resizeMethod } from "./billing.ts";
import { billingInterval, locations, plans, planVersions } from "./catalogue.ts";
import { currencyCode, instant, minorUnits } from "./columns.ts";
import { hosts } from "./hosts.ts";
import { vms } from "./vms.ts";

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
    planChangeId: uuid("plan_change_id").references(() => planChanges.id),
    /** Why it drifted, was put off, or failed: `code: words`. */
    detail: text("detail"),
    endedAt: instant("ended_at"),
  },
  (t) => [
    primaryKey({ name: "plan_migration_vms_pkey", columns: [t.migrationId, t.vmId] }),
    // No VM has its turn in two migrations at once.
    uniqueIndex("plan_migration_vms_one_busy_key")
      .on(t.vmId)
      .where(sql`${t.state} in ('judging', 'running')`),
    index("plan_migration_vms_busy_idx")
      .on(t.migrationId, t.vmId)
      .where(sql`${t.state} in ('judging', 'running')`),
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
      sql`${t.state} not in ('running', 'done', 'failed') or ${t.planChangeId} is not null`,
    ),
    check(
      "plan_migration_vms_ended_has_instant",
      sql`(${t.state} in ('waiting', 'judging', 'running', 'refused')) = (${t.endedAt} is null)`,
    ),
  ],
);
