import {
  and,
  asc,
  count,
  desc,
  eq,
  exists,
  gt,
  isNull,
  lte,
  ne,
  notExists,
  notInArray,
  or,
  sql,
} from "drizzle-orm";
import type {
  DrainMethod,
  DrainOutcome,
  DrainReason,
  DrainVmState,
  WhyNotDrained,
} from "#core/moves/drain.ts";
import type { MaintenanceWindow } from "#core/hosts/maintenance.ts";
import type { Move } from "#core/moves/move.ts";
import type { Db, Tx } from "#db/client.ts";
import { countTold, loadWindow } from "#db/hosts/maintenance.ts";
import { drains, drainVms, moves } from "#db/schema/moves.ts";
import { movingVmFromRow, WHERE_ITS_MOVE_IS, type MovingVm } from "./moving-vm.ts";
import { reservations } from "#db/schema/orders.ts";
import { vms } from "#db/schema/vms.ts";

export type Drain = Readonly<{
  id: string;
  hostId: string;
  askedBy: string;
  reason: string;
  method: DrainMethod;
  maxParallel: number;
  windowId: string | null;
  startedAt: Date;
  endedAt: Date | null;
  outcome: DrainOutcome | null;
}>;
export type DrainCounts = Readonly<Partial<Record<DrainVmState, number>>>;

const isOpen = isNull(drains.outcome);

/** Begins one. The index `drains_one_open_key` refuses a second one that is open of its host. */
export async function insertDrain(
  tx: Tx,
  drain: Omit<Drain, "endedAt" | "outcome">,
): Promise<void> {
  await tx.insert(drains).values(drain);
}

/** The drain, held until the transaction ends; if it has not ended. Whoever asks holds neither VM nor host. */
export async function lockOpenDrain(
  tx: Tx,
  by: Readonly<{ id: string } | { hostId: string }>,
): Promise<Drain | undefined> {
  const [row] = await tx
    .select()
    .from(drains)
    .where(and("id" in by ? eq(drains.id, by.id) : eq(drains.hostId, by.hostId), isOpen))
    .for("update");
  return row;
}

export async function endDrain(
  tx: Tx,
  id: string,
  { outcome, now }: { outcome: DrainOutcome; now: Date },
): Promise<void> {
  await tx.update(drains).set({ outcome, endedAt: now }).where(eq(drains.id, id));
}

/** The newest of a host. */
export async function latestDrainOf(db: Db | Tx, hostId: string): Promise<Drain | undefined> {
  const [row] = await db
    .select()
    .from(drains)
    .where(eq(drains.hostId, hostId))
    .orderBy(desc(drains.id))
    .limit(1);
  return row;
}

/** Those that have not ended, the oldest first. */
export async function openDrains(db: Db): Promise<readonly string[]> {
  const rows = await db
    .select({ id: drains.id })
    .from(drains)
    .where(isOpen)
    .orderBy(asc(drains.id));
  return rows.map(({ id }) => id);
}

/** The open drain that waits for a move. */
export async function drainOfMove(tx: Tx, moveId: string): Promise<string | undefined> {
  const [row] = await tx
    .select({ id: drainVms.drainId })
    .from(drainVms)
    .innerJoin(drains, eq(drains.id, drainVms.drainId))
    .where(and(eq(drainVms.moveId, moveId), isOpen));
  return row?.id;
}

/** What is to be deleted goes by itself. */
const isOn = (hostId: string) =>
  and(eq(vms.hostId, hostId), eq(vms.presence, "present"), isNull(vms.deletedAt));

/** The VMs of a host, the largest first: of what is hard to place there is most room at the beginning. */
export async function vmsToMove(
  db: Db | Tx,
  hostId: string,
): Promise<readonly { vmId: string; hostname: string }[]> {
  return db
    .select({ vmId: vms.id, hostname: vms.hostname })
    .from(vms)
    .where(isOn(hostId))
    .orderBy(desc(vms.memoryMib), asc(vms.id));
}

/** Gives every VM that is on the host a row, if it has none: what was ordered before may come to it meanwhile. The caller holds the drain. */
export async function takeUpVms(
  tx: Tx,
  { id, hostId }: Pick<Drain, "id" | "hostId">,
  now: Date,
): Promise<number> {
  const has = tx
    .select({ one: sql`1` })
    .from(drainVms)
    .where(and(eq(drainVms.drainId, id), eq(drainVms.vmId, vms.id)));
  const found = await tx
    .select({ vmId: vms.id })
    .from(vms)
    .where(and(isOn(hostId), notExists(has)))
    .orderBy(asc(vms.id));
  if (found.length === 0) return 0;
  await tx.insert(drainVms).values(found.map(({ vmId }) => ({ drainId: id, vmId, dueAt: now })));
  return found.length;
}

/** Whether something may become a VM of the host that is none yet: room that an order holds, or a move to it. */
export async function isComingTo(tx: Tx, hostId: string): Promise<boolean> {
  const isThere = tx
    .select({ one: sql`1` })
    .from(vms)
    .where(eq(vms.id, reservations.vmId));
  const ordered = tx
    .select({ one: sql`1` })
    .from(reservations)
    .where(
      and(
        eq(reservations.hostId, hostId),
        isNull(reservations.releasedAt),
        eq(reservations.byMove, false),
        notExists(isThere),
      ),
    );
  const moving = tx
    .select({ one: sql`1` })
    .from(moves)
    .innerJoin(vms, eq(vms.id, moves.vmId))
    .where(and(eq(moves.destinationHostId, hostId), isNull(moves.outcome), ne(vms.hostId, hostId)));
  const [row] = await tx
    .select({ is: sql<boolean>`${or(exists(ordered), exists(moving))}` })
    .from(sql`(select 1) as one`);
  return row?.is === true;
}

/** Whose move was begun by it and not seen to have ended. */
export async function movingVms(tx: Tx, drainId: string): Promise<readonly MovingVm[]> {
  const rows = await tx
    .select({
      vmId: drainVms.vmId,
      ...WHERE_ITS_MOVE_IS,
    })
    .from(drainVms)
    .innerJoin(moves, eq(moves.id, drainVms.moveId))
    .innerJoin(vms, eq(vms.id, drainVms.vmId))
    .where(and(eq(drainVms.drainId, drainId), eq(drainVms.state, "moving")))
    .orderBy(asc(drainVms.vmId));
  return rows.map(movingVmFromRow);
}

/** Whose turn it is: of those that are due the largest. */
export async function nextToMove(
  tx: Tx,
  drainId: string,
  { now, passedOver }: Readonly<{ now: Date; passedOver: readonly string[] }>,
): Promise<{ vmId: string } | undefined> {
  const [row] = await tx
    .select({ vmId: drainVms.vmId })
    .from(drainVms)
    .innerJoin(vms, eq(vms.id, drainVms.vmId))
    .where(
      and(
        eq(drainVms.drainId, drainId),
        eq(drainVms.state, "waiting"),
        lte(drainVms.dueAt, now),
        notInArray(drainVms.vmId, [...passedOver]),
      ),
    )
    .orderBy(desc(vms.memoryMib), asc(vms.id))
    .limit(1);
  return row;
}

/** How often a VM that waits was put off; undefined: it does not wait. The caller holds the drain. */
export async function triesOf(tx: Tx, drainId: string, vmId: string): Promise<number | undefined> {
  const [row] = await tx
    .select({ tries: drainVms.tries })
    .from(drainVms)
    .where(
      and(eq(drainVms.drainId, drainId), eq(drainVms.vmId, vmId), eq(drainVms.state, "waiting")),
    );
  return row?.tries;
}

export type ChangedDrainVm = Readonly<{
  state: DrainVmState;
  why?: WhyNotDrained | null;
  moveId?: string;
  tries?: number;
  dueAt?: Date;
  endedAt?: Date;
}>;

export async function saveDrainVm(
  tx: Tx,
  { drainId, vmId }: { drainId: string; vmId: string },
  { why, ...changed }: ChangedDrainVm,
): Promise<void> {
  await tx
    .update(drainVms)
    .set({
      ...changed,
      ...(why !== undefined && { reason: why?.reason ?? null, detail: why?.detail ?? null }),
    })
    .where(and(eq(drainVms.drainId, drainId), eq(drainVms.vmId, vmId)));
}

/** Those that wait for their turn have none any more. */
export async function leaveOutWaiting(tx: Tx, drainId: string, now: Date): Promise<void> {
  await tx
    .update(drainVms)
    .set({ state: "left_out", endedAt: now })
    .where(and(eq(drainVms.drainId, drainId), eq(drainVms.state, "waiting")));
}

export async function countDrainVms(db: Db | Tx, drainId: string): Promise<DrainCounts> {
  const rows = await db
    .select({ state: drainVms.state, vms: count() })
    .from(drainVms)
    .where(eq(drainVms.drainId, drainId))
    .groupBy(drainVms.state);
  return Object.fromEntries(rows.map(({ state, vms: n }) => [state, n]));
}

export type CountedDrain = Drain &
  Readonly<{
    vms: DrainCounts;
    /** In which running VMs are stopped, and how many customers were mailed it. */
    window: (MaintenanceWindow & Readonly<{ told: number }>) | null;
  }>;

/** The newest of a host, and how far it is. */
export async function countedDrainOf(db: Db, hostId: string): Promise<CountedDrain | null> {
  const drain = await latestDrainOf(db, hostId);
  if (drain === undefined) return null;
  const window = drain.windowId === null ? undefined : await loadWindow(db, drain.windowId);
  return {
    ...drain,
    vms: await countDrainVms(db, drain.id),
    window: window ? { ...window, told: await countTold(db, window) } : null,
  };
}

export type ListedDrainVm = Readonly<{
  vmId: string;
  hostname: string;
  state: DrainVmState;
  reason: DrainReason | null;
  detail: string | null;
  moveId: string | null;
  /** null: no move of it was begun. */
  destination: Readonly<{ hostId: string; step: Move["step"] }> | null;
  tries: number;
  dueAt: Date;
  endedAt: Date | null;
}>;

export async function listDrainVms(
  db: Db,
  drainId: string,
  page: Readonly<{ limit: number; after: string | null; state: DrainVmState | null }>,
): Promise<readonly ListedDrainVm[]> {
  const rows = await db
    .select({
      vmId: drainVms.vmId,
      hostname: vms.hostname,
      state: drainVms.state,
      reason: drainVms.reason,
      detail: drainVms.detail,
      moveId: drainVms.moveId,
      tries: drainVms.tries,
      dueAt: drainVms.dueAt,
      endedAt: drainVms.endedAt,
      hostId: moves.destinationHostId,
      step: moves.step,
    })
    .from(drainVms)
    .innerJoin(vms, eq(vms.id, drainVms.vmId))
    .leftJoin(moves, eq(moves.id, drainVms.moveId))
    .where(
      and(
        eq(drainVms.drainId, drainId),
        page.after === null ? undefined : gt(drainVms.vmId, page.after),
        page.state === null ? undefined : eq(drainVms.state, page.state),
      ),
    )
    .orderBy(asc(drainVms.vmId))
    .limit(page.limit);
  return rows.map(({ hostId, step, ...row }) => ({
    ...row,
    destination: hostId !== null && step !== null ? { hostId, step } : null,
  }));
}
