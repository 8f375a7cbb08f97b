import { eq, and, inArray, sql } from "drizzle-orm";
import type { MigrationVmState, ShownMigration } from "#core/billing/plan-migration.ts";
import type { Money } from "#core/money.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { namesOfHosts } from "#db/hosts/hosts.ts";
import { planChanges, planMigrationVms } from "#db/schema/billing.ts";
import { moves } from "#db/schema/moves.ts";
import { vms } from "#db/schema/vms.ts";
import { pageOfMigrationVms, shownFromRow, type MigrationVm } from "./migration-vms.ts";

/* A plan migration's VMs as staff read them: a page of them, and what all come to. */

/** A row for staff to read. `actionId`: what resizes it; `toHost`: where it moved, or would. */
export type ListedMigrationVm = MigrationVm &
  Pick<ShownMigration, "difference"> &
  Readonly<{
    hostname: string;
    actionId: string | null;
    toHost: Readonly<{ id: string; name: string }> | null;
    moveActionId: string | null;
  }>;

/** The same for people: with its name, the host it moves to, and the actions that carry it out. */
export async function listMigrationVms(
  db: Db,
  migrationId: string,
  page: { limit: number; after: string | null; state: MigrationVmState | null },
): Promise<readonly ListedMigrationVm[]> {
  const rows = await pageOfMigrationVms(db, migrationId, page);
  if (rows.length === 0) return [];
  const found = await db
    .select({ vmId: vms.id, hostname: vms.hostname })
    .from(vms)
    .where(
      inArray(
        vms.id,
        rows.map(({ vmId }) => vmId),
      ),
    );
  const changeIds = rows.flatMap(({ planChangeId }) => planChangeId ?? []);
  const changes =
    changeIds.length === 0
      ? []
      : await db
          .select({ id: planChanges.id, actionId: planChanges.actionId })
          .from(planChanges)
          .where(inArray(planChanges.id, changeIds));
  const begunMoves = await movesOfRows(db, rows);
  const names = new Map(found.map(({ vmId, hostname }) => [vmId, hostname]));
  const acts = new Map(changes.map(({ id, actionId }) => [id, actionId]));
  const hostIds = rows.flatMap((row) => begunMoves.get(row.moveId)?.hostId ?? row.toHostId ?? []);
  const hosts = await namesOfHosts(db, [...new Set(hostIds)]);
  return rows.map((row) => {
    const move = begunMoves.get(row.moveId);
    const toHost = hosts.get(move?.hostId ?? row.toHostId ?? "");
    return {
      ...row,
      difference: shownFromRow(row).difference,
      hostname: names.get(row.vmId) ?? "",
      actionId: (row.planChangeId === null ? undefined : acts.get(row.planChangeId)) ?? null,
      toHost: toHost ? { id: toHost.id, name: toHost.name } : null,
      moveActionId: move?.actionId ?? null,
    };
  });
}

/** The moves that were begun for these, by their ids: each goes where its turn found, which may be another host than was shown. */
async function movesOfRows(db: Db, rows: readonly MigrationVm[]) {
  const ids = rows.flatMap(({ moveId }) => moveId ?? []);
  const found =
    ids.length === 0
      ? []
      : await db
          .select({ id: moves.id, hostId: moves.destinationHostId, actionId: moves.actionId })
          .from(moves)
          .where(inArray(moves.id, ids));
  return new Map<string | null, (typeof found)[number]>(found.map((move) => [move.id, move]));
}

/** How many VMs of each of these are in which state. */
export async function countMigrationVms(
  db: Db | Tx,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Partial<Record<MigrationVmState, number>>>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .select({
      id: planMigrationVms.migrationId,
      state: planMigrationVms.state,
      rows: sql<number>`count(*)::int`,
    })
    .from(planMigrationVms)
    .where(inArray(planMigrationVms.migrationId, [...ids]))
    .groupBy(planMigrationVms.migrationId, planMigrationVms.state);
  const counted = new Map<string, Partial<Record<MigrationVmState, number>>>();
  for (const { id, state, rows: n } of rows) counted.set(id, { ...counted.get(id), [state]: n });
  return counted;
}

/** What all that is not refused comes to, as it was shown; and how often each refusal stands against it. */
export async function totalsOfMigration(
  db: Db,
  id: string,
): Promise<{
  methods: readonly { method: MigrationVm["method"]; vms: number }[];
  differences: readonly Money[];
  refusals: readonly { code: string; vms: number }[];
}> {
  const ofIt = eq(planMigrationVms.migrationId, id);
  const isShown = and(ofIt, sql`${planMigrationVms.state} <> 'refused'`);
  const vmsOf = sql<number>`count(*)::int`;
  const methods = await db
    .select({ method: planMigrationVms.method, vms: vmsOf })
    .from(planMigrationVms)
    .where(isShown)
    .groupBy(planMigrationVms.method)
    .orderBy(planMigrationVms.method);
  const differences = await db
    .select({
      currency: planMigrationVms.currency,
      minor: sql<string>`sum(${planMigrationVms.differenceMinor})`,
    })
    .from(planMigrationVms)
    .where(and(isShown, sql`${planMigrationVms.currency} is not null`))
    .groupBy(planMigrationVms.currency)
    .orderBy(planMigrationVms.currency);
  const code = sql<string>`unnest(${planMigrationVms.refusals})`;
  const each = db
    .select({ code: code.as("code") })
    .from(planMigrationVms)
    .where(ofIt)
    .as("each");
  const refusals = await db
    .select({ code: each.code, vms: vmsOf })
    .from(each)
    .groupBy(each.code)
    .orderBy(each.code);
  return {
    methods,
    differences: differences.flatMap(({ currency, minor }) =>
      currency === null ? [] : [{ currency: currencyFromRow(currency), minor: BigInt(minor) }],
    ),
    refusals,
  };
}
