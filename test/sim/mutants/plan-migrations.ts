import type { Mutant } from "./plant.ts";

/** Of many VMs that come to another plan. */
export const PLAN_MIGRATIONS: readonly Mutant[] = [
  {
    name: "plan migration: more VMs are changed at once than it was told",
    file: "core/billing/plan-migration.ts",
    find: "return { state, take: Math.max(0, maxParallel - busy) };",
    replace: "return { state, take: Math.max(0, maxParallel) };",
    plan: "plan-migrated",
  },
  {
    name: "plan migration: one that is stopped goes on",
    file: "commands/billing/follow-plan-migration.ts",
    find: "if (!isOpenState(state)) {",
    replace: `if (!isOpenState(state) && state !== "stopped") {`,
    plan: "plan-migration-stopped",
  },
  {
    name: "plan migration: nobody waits until owners were told long enough",
    file: "commands/billing/follow-plan-migration.ts",
    find: "toldBefore: days === 0 ? null : new Date(+at.now - days * DAY_MS),",
    replace: "toldBefore: days === 0 ? null : new Date(+at.now + days * DAY_MS),",
    plan: "plan-migration-announced",
  },
  {
    name: "plan migration: a change that went back counts as made",
    file: "commands/billing/follow-plan-migration.ts",
    find: `state: outcome === "committed" ? ("done" as const) : ("failed" as const),`,
    replace: `state: outcome === null ? ("failed" as const) : ("done" as const),`,
    plan: "plan-migration-declined",
  },
  {
    name: "plan migration: a retry changes what is done already",
    file: "db/billing/migration-vms.ts",
    find: `.where(and(eq(planMigrationVms.migrationId, migrationId), eq(planMigrationVms.state, "failed")))`,
    replace: `.where(and(eq(planMigrationVms.migrationId, migrationId), inArray(planMigrationVms.state, ["failed", "done"])))`,
    plan: "plan-migration-retried",
  },
  {
    name: "plan migration: nobody looks after what was put off",
    file: "functions/sweep.ts",
    find: "follow_plan_migrations: followPlanMigrations,",
    replace: "",
    plan: "plan-migration-announced",
  },
  {
    name: "plan migration: its totals are of one VM",
    file: "db/billing/list-migration-vms.ts",
    find: "minor: sql<string>`sum(${planMigrationVms.differenceMinor})`,",
    replace: "minor: sql<string>`max(${planMigrationVms.differenceMinor})`,",
    plan: "plan-migrated",
  },
];
