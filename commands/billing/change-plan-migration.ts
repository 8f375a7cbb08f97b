import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import {
  moveMigration,
  type MigrationCommand,
  type MigrationVmState,
} from "#core/billing/plan-migration.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import {
  countMigrationVms,
  listMigrationVms,
  totalsOfMigration,
} from "#db/billing/list-migration-vms.ts";
import { putOffJudging, retryFailedVms } from "#db/billing/migration-vms.ts";
import {
  listMigrations,
  loadMigration,
  lockMigration,
  saveMigration,
  type PlanMigration,
} from "#db/billing/plan-migrations.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";

/** One with how many of its VMs are where. */
export type CountedMigration = PlanMigration &
  Readonly<{ vms: Partial<Record<MigrationVmState, number>> }>;
export type MigrationDetails = CountedMigration &
  Readonly<{ totals: Awaited<ReturnType<typeof totalsOfMigration>> }>;
export type ListedMigrationVm = Awaited<ReturnType<typeof listMigrationVms>>[number];

type NotFound = Refusal<"plan_migration_not_found">;
const notFound = () => refuse("plan_migration_not_found", "no such plan migration");

/** So many rows of one transaction. */
const PAGE = 250;

/**
 * Pauses a migration, resumes it, stops it for good, or lets what failed have another turn. Whose change was begun goes on to its
 * end; whoever only had their turn waits. Resumed or retried, what failed before stops it no more.
 */
export async function changeMigration(
  deps: Deps,
  who: AccountPrincipal,
  id: string,
  command: Extract<MigrationCommand, "pause" | "resume" | "stop" | "retry">,
): Promise<Result<MigrationDetails, NotFound | Refusal<"plan_migration_wrong_state">>> {
  const at = stamp(deps);
  const done = await inTransaction(deps.db, async (tx) => {
    const held = await lockMigration(tx, id);
    if (!held) return notFound();
    const moved = moveMigration(held.state, command);
    if (!moved.ok) return moved;
    const state = moved.value;
    const retried =
      command === "retry" ? await retryFailedVms(tx, id, { now: at.now, limit: PAGE }) : 0;
    // What is true already changes nothing; nor does a retry of nothing.
    const isSame = state === held.state && retried === 0;
    if (isSame || (command === "retry" && retried === 0)) return ok({ retried });
    if (state === "paused" || state === "stopped") await putOffJudging(tx, id);
    await saveMigration(tx, id, {
      state,
      movedAt: at.now,
      endedAt: state === "stopped" ? at.now : null,
      ...(state === "running" && { failures: 0 }),
    });
    const data = { planMigrationId: id };
    await recordChange(
      tx,
      {
        actor: actorOf(who),
        action: `plan_migration.${command}`,
        subject: { kind: "plan_migration", id },
        detail: { from: held.state, state, retried },
        events: [
          { name: "plan_migration.changed.v1", data },
          ...(state === "running" ? [{ name: "plan_migration.fell_due.v1", data } as const] : []),
        ],
      },
      at,
    );
    return ok({ retried });
  });
  if (!done.ok) return done;
  // Page by page, each a transaction of its own; the last one finds none.
  if (done.value.retried === PAGE) return changeMigration(deps, who, id, command);
  const shown = await showMigration(deps, id);
  if (!shown.ok) throw new Error(`plan migration ${id} vanished`);
  return shown;
}

export async function showMigration(
  deps: Pick<Deps, "db">,
  id: string,
): Promise<Result<MigrationDetails, NotFound>> {
  const found = await loadMigration(deps.db, id);
  if (!found) return notFound();
  const counted = await countMigrationVms(deps.db, [id]);
  return ok({
    ...found,
    vms: counted.get(id) ?? {},
    totals: await totalsOfMigration(deps.db, id),
  });
}

/** Those that were begun, and dry runs, the newest first. */
export async function showMigrations(
  deps: Pick<Deps, "db">,
  { limit, cursor }: PageRequest,
): Promise<Page<CountedMigration>> {
  const rows = await listMigrations(deps.db, { limit: limit + 1, before: cursorToId(cursor) });
  const page = cutPage(rows, limit, (r) => r.id);
  const counted = await countMigrationVms(
    deps.db,
    page.items.map(({ id }) => id),
  );
  return { ...page, items: page.items.map((r) => ({ ...r, vms: counted.get(r.id) ?? {} })) };
}

/** Its VMs, each with what was shown of it and what became of that. */
export async function showMigrationVms(
  deps: Pick<Deps, "db">,
  id: string,
  state: MigrationVmState | null,
  { limit, cursor }: PageRequest,
): Promise<Result<Page<ListedMigrationVm>, NotFound>> {
  if (!(await loadMigration(deps.db, id))) return notFound();
  const after = cursorToId(cursor);
  const rows = await listMigrationVms(deps.db, id, { limit: limit + 1, after, state });
  return ok(cutPage(rows, limit, (r) => r.vmId));
}
