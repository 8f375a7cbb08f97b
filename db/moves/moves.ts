import { and, asc, desc, eq, inArray, isNotNull, isNull, lte, or, sql } from "drizzle-orm";
import type { DiskOfMove, Move } from "#core/moves/move.ts";
import type { Action } from "#core/vms/action.ts";
import type { DiskFormat } from "#core/vms/disk-format.ts";
import type { Db, Tx } from "#db/client.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { moves } from "#db/schema/moves.ts";

type Row = typeof moves.$inferSelect;

/** How the disk of a move goes to its destination. */
export type WayOfMove = Readonly<{
  address: Readonly<{ host: string; port: number }>;
  /** null once it has ended. */
  sealedKey: string | null;
  mbitPerSecond: number | null;
  format: DiskFormat;
}>;
export type KeptMove = Readonly<{ move: Move; way: WayOfMove }>;

export function moveFromRow(row: Row): KeptMove {
  const {
    sealedKey,
    address: host,
    port,
    mbitPerSecond,
    format,
    virtualBytes,
    exportBytes,
    baseFile,
    baseSha256,
    failureCode: code,
    failureDetail: detail,
    dueAt: _due,
    ...move
  } = row;
  const base =
    baseFile !== null && baseSha256 !== null ? { file: baseFile, sha256: baseSha256 } : null;
  return {
    move: {
      ...move,
      disk:
        virtualBytes !== null && exportBytes !== null
          ? { format, virtualBytes, exportBytes, base }
          : null,
      failure: code !== null && detail !== null ? { code, detail } : null,
    },
    way: { address: { host, port }, sealedKey, mbitPerSecond, format },
  };
}

export type ChangedOfMove = Readonly<
  Partial<Omit<Move, "id" | "vmId" | "actionId" | "disk" | "failure">> & {
    disk?: DiskOfMove;
    failure?: NonNullable<Move["failure"]>;
    dueAt?: Date | null;
  }
>;

function rowOf({ disk, failure, ...changed }: ChangedOfMove): Partial<Row> {
  return {
    ...changed,
    ...(disk && {
      virtualBytes: disk.virtualBytes,
      exportBytes: disk.exportBytes,
      baseFile: disk.base?.file ?? null,
      baseSha256: disk.base?.sha256 ?? null,
    }),
    ...(failure && { failureCode: failure.code, failureDetail: failure.detail }),
    ...(changed.step === "ended" && { sealedKey: null }),
  };
}

/** Begins a move. The index `moves_one_open_key` refuses a second one that is open of its VM. */
export async function insertMove(
  tx: Tx,
  move: Pick<
    Move,
    | "id"
    | "vmId"
    | "actionId"
    | "sourceHostId"
    | "destinationHostId"
    | "method"
    | "sourceEpoch"
    | "epoch"
    | "createdAt"
  > & { way: Omit<WayOfMove, "sealedKey"> & { sealedKey: string }; dueAt: Date },
): Promise<void> {
  const { way, createdAt: at, ...row } = move;
  const { address, ...rest } = way;
  const times = { createdAt: at, stepAt: at, heardAt: at };
  await tx
    .insert(moves)
    .values({ ...row, ...rest, address: address.host, port: address.port, ...times });
}

export async function saveMove(tx: Tx, id: string, changed: ChangedOfMove): Promise<void> {
  await tx.update(moves).set(rowOf(changed)).where(eq(moves.id, id));
}

/** An epoch that no copy of the VM, made or only tried, has ever had. The caller holds the VM. */
export async function freshEpoch(
  tx: Tx,
  vm: Readonly<{ id: string; ownerEpoch: number }>,
): Promise<number> {
  const [row] = await tx
    .select({ epoch: moves.epoch })
    .from(moves)
    .where(eq(moves.vmId, vm.id))
    .orderBy(desc(moves.epoch))
    .limit(1);
  return Math.max(vm.ownerEpoch, row?.epoch ?? 0) + 1;
}

const isOpen = isNull(moves.outcome);

/** The move, held until the transaction ends. Whoever asks holds its VM already. */
export async function lockOpenMove(tx: Tx, vmId: string): Promise<KeptMove | undefined> {
  const [row] = await tx
    .select()
    .from(moves)
    .where(and(eq(moves.vmId, vmId), isOpen))
    .for("update");
  return row && moveFromRow(row);
}

export async function loadMove(db: Db | Tx, id: string): Promise<KeptMove | undefined> {
  const [row] = await db.select().from(moves).where(eq(moves.id, id));
  return row && moveFromRow(row);
}

/** Of these actions those that are moves, by the actions' ids. */
export async function movesOfActions(
  db: Db | Tx,
  actions: readonly Pick<Action, "id" | "type">[],
): Promise<ReadonlyMap<string, Move>> {
  const ids = actions.flatMap(({ id, type }) => (type === "migrate" ? [id] : []));
  if (ids.length === 0) return new Map();
  const rows = await db.select().from(moves).where(inArray(moves.actionId, ids));
  return new Map(rows.map((row) => [row.actionId, moveFromRow(row).move]));
}

/** Of a VM, the newest first. */
export async function latestMovesOf(
  db: Db | Tx,
  vmId: string,
  limit: number,
): Promise<readonly KeptMove[]> {
  const rows = await db
    .select()
    .from(moves)
    .where(eq(moves.vmId, vmId))
    .orderBy(desc(moves.id))
    .limit(limit);
  return rows.map(moveFromRow);
}

const openOfHost = prepared("moves_open_of_host", (db, at: Slots<{ hostId: string }>) =>
  db
    .select()
    .from(moves)
    .where(
      and(isOpen, or(eq(moves.sourceHostId, at.hostId), eq(moves.destinationHostId, at.hostId))),
    )
    .orderBy(asc(moves.id)),
);

/** Those from or to a host that have not ended. */
export async function openMovesOf(db: Db | Tx, hostId: string): Promise<readonly KeptMove[]> {
  return (await openOfHost(db, { hostId })).map(moveFromRow);
}

/** Of these VMs, those moves that are open and that a host is an end of. */
export async function openMovesAmong(
  db: Db | Tx,
  hostId: string,
  vmIds: readonly string[],
): Promise<readonly Move[]> {
  if (vmIds.length === 0) return [];
  const rows = await db
    .select()
    .from(moves)
    .where(
      and(
        isOpen,
        or(eq(moves.sourceHostId, hostId), eq(moves.destinationHostId, hostId)),
        sql`${moves.vmId} = any(${sql.param([...vmIds])}::uuid[])`,
      ),
    );
  return rows.map((row) => moveFromRow(row).move);
}

/** Those whose time has come, the longest due first. */
export async function movesDue(
  db: Db,
  now: Date,
  limit: number,
): Promise<readonly { id: string; vmId: string }[]> {
  return db
    .select({ id: moves.id, vmId: moves.vmId })
    .from(moves)
    .where(and(isOpen, isNotNull(moves.dueAt), lte(moves.dueAt, now)))
    .orderBy(asc(moves.dueAt))
    .limit(limit);
}
