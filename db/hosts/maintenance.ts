import {
  and,
  asc,
  count,
  countDistinct,
  eq,
  exists,
  gt,
  isNull,
  lt,
  lte,
  notExists,
  sql,
} from "drizzle-orm";
import { noticeAt, type MaintenanceWindow, type WindowKind } from "#core/hosts/maintenance.ts";
import type { Db, Tx } from "#db/client.ts";
import {
  findings,
  hosts,
  maintenanceNotices as notices,
  maintenanceWindows as windows,
} from "#db/schema/hosts.ts";
import { vms } from "#db/schema/vms.ts";

const fromRow = (r: typeof windows.$inferSelect): MaintenanceWindow => ({
  id: r.id,
  hostId: r.hostId,
  kind: r.kind,
  startsAt: r.startsAt,
  endsAt: r.endsAt,
  noticeHours: r.noticeHours,
  revision: r.revision,
  begunAt: r.begunAt,
  endedAt: r.endedAt,
  cancelledAt: r.cancelledAt,
});
const isOpen = and(isNull(windows.endedAt), isNull(windows.cancelledAt));

/** The window of this kind that is planned for a host, or runs there. Who is to change it holds the host. */
export async function openWindowOf(
  db: Db | Tx,
  hostId: string,
  kind: WindowKind,
): Promise<MaintenanceWindow | undefined> {
  const [row] = await db
    .select()
    .from(windows)
    .where(and(eq(windows.hostId, hostId), eq(windows.kind, kind), isOpen));
  return row && fromRow(row);
}

export async function loadWindow(db: Db | Tx, id: string): Promise<MaintenanceWindow | undefined> {
  const [row] = await db.select().from(windows).where(eq(windows.id, id));
  return row && fromRow(row);
}

export async function insertWindow(tx: Tx, window: MaintenanceWindow, now: Date): Promise<void> {
  await tx.insert(windows).values({ ...window, noticeAt: noticeAt(window), createdAt: now });
}

export async function saveWindow(tx: Tx, window: MaintenanceWindow): Promise<void> {
  const { id, hostId: _, kind: __, ...rest } = window;
  await tx
    .update(windows)
    .set({ ...rest, noticeAt: noticeAt(window) })
    .where(eq(windows.id, id));
}

/** Hosts whose maintenance should have begun by now, the earliest first. */
export async function hostsToBegin(db: Db, now: Date, limit: number): Promise<readonly string[]> {
  const rows = await db
    .select({ hostId: windows.hostId })
    .from(windows)
    .where(
      and(
        isOpen,
        eq(windows.kind, "maintenance"),
        lte(windows.noticeAt, now),
        lte(windows.startsAt, now),
        isNull(windows.begunAt),
      ),
    )
    .orderBy(asc(windows.startsAt))
    .limit(limit);
  return rows.map(({ hostId }) => hostId);
}

/** Hosts with a window of which a customer is to have been told by now, and was not; who came meanwhile, too. */
export async function hostsToTellOf(
  db: Db,
  now: Date,
  limit: number,
): Promise<readonly Pick<MaintenanceWindow, "hostId" | "kind">[]> {
  const told = db
    .select({ one: sql`1` })
    .from(notices)
    .where(
      and(
        eq(notices.windowId, windows.id),
        eq(notices.accountId, vms.accountId),
        eq(notices.revision, windows.revision),
      ),
    );
  const untold = db
    .select({ one: sql`1` })
    .from(vms)
    .where(and(eq(vms.hostId, windows.hostId), isNull(vms.deletedAt), notExists(told)));
  return db
    .select({ hostId: windows.hostId, kind: windows.kind })
    .from(windows)
    .where(and(isOpen, lte(windows.noticeAt, now), gt(windows.endsAt, now), exists(untold)))
    .orderBy(asc(windows.noticeAt))
    .limit(limit);
}

/**
 * Accounts with a VM on the window's host that were not told of its revision. `told`: of those alone that were told of an earlier
 * one, or are about to be.
 */
export async function accountsToTell(
  tx: Tx,
  { id, hostId, revision }: MaintenanceWindow,
  which: "told" | "all",
): Promise<readonly string[]> {
  const of = (revisions: ReturnType<typeof eq>) =>
    tx
      .select({ one: sql`1` })
      .from(notices)
      .where(and(eq(notices.windowId, id), eq(notices.accountId, vms.accountId), revisions));
  const rows = await tx
    .selectDistinct({ accountId: vms.accountId })
    .from(vms)
    .where(
      and(
        eq(vms.hostId, hostId),
        isNull(vms.deletedAt),
        notExists(of(eq(notices.revision, revision))),
        which === "all" ? undefined : sql`exists ${of(lt(notices.revision, revision))}`,
      ),
    )
    .orderBy(asc(vms.accountId));
  return rows.map(({ accountId }) => accountId);
}

/** @returns those that were not there already. */
export async function insertNotices(
  tx: Tx,
  added: readonly { id: string; windowId: string; accountId: string; revision: number }[],
  now: Date,
): Promise<readonly { id: string; accountId: string }[]> {
  if (added.length === 0) return [];
  return tx
    .insert(notices)
    .values(added.map((notice) => ({ ...notice, createdAt: now })))
    .onConflictDoNothing()
    .returning({ id: notices.id, accountId: notices.accountId });
}

export type Notice = Readonly<{
  id: string;
  revision: number;
  settledAt: Date | null;
  window: MaintenanceWindow;
  accountId: string;
  /** An earlier one of this window was mailed to this account. */
  wasTold: boolean;
  /** Its VMs on the host, by name; so many at most. */
  hostnames: readonly string[];
}>;

export async function loadNotice(db: Db, id: string): Promise<Notice | undefined> {
  const [row] = await db
    .select({
      notice: notices,
      window: windows,
      wasTold: sql<boolean>`exists (select from ${notices} as earlier where earlier.mailed
        and earlier.window_id = ${windows.id} and earlier.account_id = ${notices.accountId})`,
    })
    .from(notices)
    .innerJoin(windows, eq(windows.id, notices.windowId))
    .where(eq(notices.id, id));
  if (!row) return undefined;
  const { notice, window, wasTold } = row;
  const named = await db
    .select({ hostname: vms.hostname })
    .from(vms)
    .where(
      and(
        eq(vms.hostId, window.hostId),
        eq(vms.accountId, notice.accountId),
        isNull(vms.deletedAt),
      ),
    )
    .orderBy(asc(vms.hostname), asc(vms.id))
    .limit(1000);
  const { revision, settledAt } = notice;
  return {
    id,
    revision,
    settledAt,
    window: fromRow(window),
    accountId: notice.accountId,
    wasTold,
    hostnames: named.map(({ hostname }) => hostname),
  };
}

export async function settleNotice(
  db: Db | Tx,
  id: string,
  { mailed, now }: { mailed: boolean; now: Date },
): Promise<void> {
  await db
    .update(notices)
    .set({ settledAt: now, mailed })
    .where(and(eq(notices.id, id), isNull(notices.settledAt)));
}

/** How many were told of a window as it is now. */
export async function countTold(db: Db, { id, revision }: MaintenanceWindow): Promise<number> {
  return db.$count(
    notices,
    and(eq(notices.windowId, id), eq(notices.revision, revision), eq(notices.mailed, true)),
  );
}

/** Hosts whose maintenance was to have ended by now, and of which that is not told yet. */
export async function untoldOverrunHosts(
  tx: Tx,
  now: Date,
  limit: number,
): Promise<readonly { hostId: string; until: Date }[]> {
  const told = tx
    .select({ one: sql`1` })
    .from(findings)
    .where(
      and(
        eq(findings.hostId, hosts.id),
        eq(findings.kind, "maintenance_overran"),
        isNull(findings.endedAt),
      ),
    );
  const rows = await tx
    .select({ hostId: hosts.id, until: hosts.maintenanceUntil })
    .from(windows)
    .innerJoin(hosts, eq(hosts.id, windows.hostId))
    .where(and(isOpen, lt(hosts.maintenanceUntil, now), notExists(told)))
    .orderBy(asc(hosts.id))
    .limit(limit);
  return rows.flatMap(({ hostId, until }) => (until === null ? [] : [{ hostId, until }]));
}

/** The findings that a host's maintenance goes on for too long. */
export async function openOverrunsOf(tx: Tx, hostId: string): Promise<readonly { id: string }[]> {
  return tx
    .select({ id: findings.id })
    .from(findings)
    .where(
      and(
        eq(findings.hostId, hostId),
        eq(findings.kind, "maintenance_overran"),
        isNull(findings.endedAt),
      ),
    );
}

/** Who is on a host: how many VMs, and of how many accounts. */
export async function peopleOn(
  tx: Tx,
  hostId: string,
): Promise<Readonly<{ vms: number; accounts: number }>> {
  const [row] = await tx
    .select({ vms: count(), accounts: countDistinct(vms.accountId) })
    .from(vms)
    .where(and(eq(vms.hostId, hostId), isNull(vms.deletedAt)));
  return row ?? { vms: 0, accounts: 0 };
}
