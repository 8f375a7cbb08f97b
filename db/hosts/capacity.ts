import { and, asc, desc, eq, gte, inArray, isNull, sql, type SQL } from "drizzle-orm";
import type { Capacity } from "#core/hosts/capacity.ts";
import type { HostCandidate } from "#core/hosts/place-vm.ts";
import type { VmSize } from "#core/vms/vm.ts";
import type { Db, Tx } from "#db/client.ts";
import { hostFromRow, type Host } from "./hosts.ts";
import { isInUse, takesNewVms } from "./in-state.ts";
import type { KindHere } from "./kinds.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { hostKinds, hosts } from "#db/schema/hosts.ts";
import { reservations } from "#db/schema/orders.ts";

/** What a host has left: as the index `hosts_room_idx` has it. */
const FREE = {
  vcpus: sql<number>`(${hosts.capacityVcpus} - ${hosts.allocatedVcpus})`,
  memoryMib: sql<number>`(${hosts.capacityMemoryMib} - ${hosts.allocatedMemoryMib})`,
  diskGib: sql<number>`(${hosts.capacityDiskGib} - ${hosts.allocatedDiskGib})`,
  vms: sql<number>`(${hosts.capacityVms} - ${hosts.allocatedVms})`,
};

/** That a host has room for one more VM of this size, and takes new ones. `isThere`: it lies there already, and is not new. */
const hasRoom = (size: VmSize, isThere = false) =>
  and(
    isThere ? isInUse : takesNewVms,
    sql`${FREE.memoryMib} >= ${size.memoryMib}`,
    sql`${FREE.vcpus} >= ${size.vcpus}`,
    sql`${FREE.diskGib} >= ${size.diskGib}`,
    sql`${FREE.vms} >= 1`,
  );

type Among = Readonly<{ kinds: readonly KindHere[]; heardSince: Date }>;
const kindIds = (kinds: readonly KindHere[]) => kinds.map(({ kindId }) => kindId);

const CANDIDATE = {
  id: hosts.id,
  kindId: hosts.kindId,
  state: hosts.state,
  lastSeenAt: hosts.lastSeenAt,
  free: FREE,
};

function candidates(
  rows: readonly (Omit<HostCandidate, keyof KindHere> & { kindId: string | null })[],
  kinds: readonly KindHere[],
): readonly HostCandidate[] {
  const of = new Map(kinds.map((kind) => [kind.kindId, kind]));
  return rows.flatMap((row) => {
    const kind = of.get(row.kindId ?? "");
    return kind === undefined ? [] : [{ ...kind, ...row }];
  });
}

/**
 * Of each kind the hosts with the most free memory of those that have room, so many of each: all that `rankHosts` could put
 * first. Unlocked: `reserve` decides, this only suggests.
 */
export async function bestHosts(
  db: Db | Tx,
  { kinds, heardSince }: Among,
  size: VmSize,
  ofEach: number,
): Promise<readonly HostCandidate[]> {
  if (kinds.length === 0) return [];
  const best = db
    .select({ id: hosts.id })
    .from(hosts)
    .where(and(sql`${hosts.kindId} = kind.id`, hasRoom(size), gte(hosts.lastSeenAt, heardSince)))
    .orderBy(desc(FREE.memoryMib), asc(hosts.id))
    .limit(ofEach);
  const rows = await db
    .select(CANDIDATE)
    .from(hosts)
    .where(
      inArray(
        hosts.id,
        sql`(select best.id from unnest(${sql.param(kindIds(kinds))}::uuid[]) as kind (id)
          cross join lateral ${best} as best)`,
      ),
    );
  return candidates(rows, kinds);
}

/** Those of these hosts that are of these kinds, whatever room they have. */
export async function hostsAmong(
  db: Db | Tx,
  { kinds, heardSince }: Among,
  hostIds: readonly string[],
): Promise<readonly HostCandidate[]> {
  if (hostIds.length === 0 || kinds.length === 0) return [];
  const rows = await db
    .select(CANDIDATE)
    .from(hosts)
    .where(
      and(
        sql`${hosts.id} = any(${sql.param([...hostIds])}::uuid[])`,
        takesNewVms,
        inArray(hosts.kindId, kindIds(kinds)),
        gte(hosts.lastSeenAt, heardSince),
      ),
    );
  return candidates(rows, kinds);
}

/** All hosts of a location that take new VMs, whatever room they have: for whoever plans thousands of VMs there. */
export async function hostsThatTake(
  db: Db,
  { locationId, heardSince }: { locationId: string; heardSince: Date },
): Promise<readonly Host[]> {
  const rows = await db
    .select()
    .from(hosts)
    .where(and(eq(hosts.locationId, locationId), takesNewVms, gte(hosts.lastSeenAt, heardSince)));
  return rows.map(hostFromRow);
}

/** Whether hosts of these kinds have so much room together, in each resource. They are added up no further than that. */
export async function haveFreeRoom(
  db: Db | Tx,
  { kinds, heardSince }: Among,
  needed: Capacity,
): Promise<boolean> {
  const soFar = (free: SQL, name: string) =>
    sql<string>`sum(${free}) over (rows unbounded preceding)`.as(name);
  const added = db
    .select({
      vcpus: soFar(FREE.vcpus, "vcpus"),
      memoryMib: soFar(FREE.memoryMib, "memory_mib"),
      diskGib: soFar(FREE.diskGib, "disk_gib"),
      vms: soFar(FREE.vms, "vms"),
    })
    .from(hosts)
    .where(
      and(inArray(hosts.kindId, kindIds(kinds)), takesNewVms, gte(hosts.lastSeenAt, heardSince)),
    )
    .as("added");
  const [reached] = await db
    .select({ vms: added.vms })
    .from(added)
    .where(
      and(
        sql`${added.vcpus} >= ${needed.vcpus}`,
        sql`${added.memoryMib} >= ${needed.memoryMib}`,
        sql`${added.diskGib} >= ${needed.diskGib}`,
        sql`${added.vms} >= ${needed.vms}`,
      ),
    )
    .limit(1);
  return reached !== undefined;
}

/** For each of these sizes the kinds (by id) that have a host with room for such a VM. */
export async function kindsWithRoom(
  db: Db,
  { kinds, heardSince }: Among,
  sizes: readonly VmSize[],
): Promise<readonly ReadonlySet<string>[]> {
  if (kinds.length === 0 || sizes.length === 0) return sizes.map(() => new Set());
  // The one with the most memory, by the index. Of `exists` the planner might think that any host will do, and read them all.
  const withRoom = (size: VmSize) => {
    const best = db
      .select({ id: hosts.id })
      .from(hosts)
      .where(and(eq(hosts.kindId, hostKinds.id), hasRoom(size), gte(hosts.lastSeenAt, heardSince)))
      .orderBy(desc(FREE.memoryMib), asc(hosts.id))
      .limit(1);
    return sql`${best} is not null`;
  };
  const rows = await db
    .select({
      kindId: hostKinds.id,
      room: sql<boolean[]>`array[${sql.join(sizes.map(withRoom), sql`, `)}]`,
    })
    .from(hostKinds)
    .where(inArray(hostKinds.id, kindIds(kinds)));
  return sizes.map((_, n) => new Set(rows.filter((r) => r.room[n]).map(({ kindId }) => kindId)));
}

/**
 * Takes the room on a host, if it is still there. One conditional update: it waits for whoever holds the host's
 * row and then looks again, so parallel orders cannot both have the last place; the check constraint
 * `hosts_never_oversold` stands behind it (invariant 14).
 */
export async function reserve(
  tx: Tx,
  input: {
    id: string;
    vmId: string;
    hostId: string;
    size: VmSize;
    /** Its host holds the VM: a restored database did not know. */
    isThere?: boolean;
    /** For a move of the VM to it. */
    byMove?: boolean;
    now: Date;
  },
): Promise<boolean> {
  const { vcpus, memoryMib, diskGib } = input.size;
  const taken = await tx
    .update(hosts)
    .set({
      allocatedVcpus: sql`${hosts.allocatedVcpus} + ${vcpus}`,
      allocatedMemoryMib: sql`${hosts.allocatedMemoryMib} + ${memoryMib}`,
      allocatedDiskGib: sql`${hosts.allocatedDiskGib} + ${diskGib}`,
      allocatedVms: sql`${hosts.allocatedVms} + 1`,
    })
    .where(and(eq(hosts.id, input.hostId), hasRoom(input.size, input.isThere)))
    .returning({ id: hosts.id });
  if (taken.length === 0) return false;
  await tx.insert(reservations).values({
    id: input.id,
    vmId: input.vmId,
    hostId: input.hostId,
    vcpus,
    memoryMib,
    diskGib,
    byMove: input.byMove ?? false,
    createdAt: input.now,
  });
  return true;
}

const isHeldAtHome = and(isNull(reservations.releasedAt), eq(reservations.byMove, false));
const isHeldByMove = and(isNull(reservations.releasedAt), eq(reservations.byMove, true));

export async function heldReservation(
  tx: Tx,
  vmId: string,
): Promise<{ hostId: string } | undefined> {
  const [row] = await reservationHeld(tx, { vmId });
  return row;
}

const reservationHeld = prepared("reservation_held", (db, at: Slots<{ vmId: string }>) =>
  db
    .select({ hostId: reservations.hostId })
    .from(reservations)
    .where(and(eq(reservations.vmId, at.vmId), isHeldAtHome)),
);

/**
 * Makes the room that is held for a VM another one: exactly so much of each resource, or at least so much. Growing needs
 * the room to be there, and a host that takes new VMs; shrinking always may.
 *
 * @returns false where it is not there, and nothing changes.
 */
export async function resizeReservation(
  tx: Tx,
  vmId: string,
  to: VmSize,
  how: "exactly" | "at_least",
): Promise<boolean> {
  const [held] = await tx
    .select()
    .from(reservations)
    .where(and(eq(reservations.vmId, vmId), isHeldAtHome))
    .for("update");
  if (!held) throw new Error(`no room is held for VM ${vmId}`);
  const pick = (now: number, wanted: number) =>
    how === "exactly" ? wanted : Math.max(now, wanted);
  const size: VmSize = {
    vcpus: pick(held.vcpus, to.vcpus),
    memoryMib: pick(held.memoryMib, to.memoryMib),
    diskGib: pick(held.diskGib, to.diskGib),
  };
  const more = {
    vcpus: size.vcpus - held.vcpus,
    memoryMib: size.memoryMib - held.memoryMib,
    diskGib: size.diskGib - held.diskGib,
  };
  // What shrinks, or stays, asks for no room: its host may have less by now than it has given away, or take nothing new.
  const fits = (free: SQL, by: number) => (by > 0 ? sql`${free} >= ${by}` : undefined);
  const grows = more.vcpus > 0 || more.memoryMib > 0 || more.diskGib > 0;
  const taken = await tx
    .update(hosts)
    .set({
      allocatedVcpus: sql`${hosts.allocatedVcpus} + ${more.vcpus}`,
      allocatedMemoryMib: sql`${hosts.allocatedMemoryMib} + ${more.memoryMib}`,
      allocatedDiskGib: sql`${hosts.allocatedDiskGib} + ${more.diskGib}`,
    })
    .where(
      and(
        eq(hosts.id, held.hostId),
        grows ? takesNewVms : undefined,
        fits(FREE.vcpus, more.vcpus),
        fits(FREE.memoryMib, more.memoryMib),
        fits(FREE.diskGib, more.diskGib),
      ),
    )
    .returning({ id: hosts.id });
  if (taken.length === 0) return false;
  await tx.update(reservations).set(size).where(eq(reservations.id, held.id));
  return true;
}

/** No more is held for a VM at its home than it has: what it was to become does not come. Of one that is gone nothing is held. */
export async function holdNoMore(tx: Tx, vm: VmSize & { id: string }): Promise<void> {
  if (await heldReservation(tx, vm.id)) await resizeReservation(tx, vm.id, vm, "exactly");
}

/** Gives a VM's room on its host back. Doing it again changes nothing. */
export const releaseReservation = (tx: Tx, vmId: string, now: Date): Promise<void> =>
  release(tx, and(eq(reservations.vmId, vmId), isHeldAtHome), now);

/** Gives back what a VM's move holds at its other end. Doing it again changes nothing. */
export const releaseHeldByMove = (tx: Tx, vmId: string, now: Date): Promise<void> =>
  release(tx, and(eq(reservations.vmId, vmId), isHeldByMove), now);

/** The VM has another host: what was held there for its move is its home now, and what it had is the move's. */
export async function swapHomes(tx: Tx, vmId: string): Promise<void> {
  const held = await tx
    .select({ id: reservations.id, byMove: reservations.byMove })
    .from(reservations)
    .where(and(eq(reservations.vmId, vmId), isNull(reservations.releasedAt)))
    .for("update");
  if (held.length !== 2) throw new Error(`VM ${vmId} holds room on ${held.length} hosts, not two`);
  // One after the other: the index would see two homes of it in between.
  for (const { id, byMove } of held.toSorted((a, b) => Number(a.byMove) - Number(b.byMove)))
    await tx.update(reservations).set({ byMove: !byMove }).where(eq(reservations.id, id));
}

async function release(tx: Tx, which: SQL | undefined, now: Date): Promise<void> {
  const released = await tx.update(reservations).set({ releasedAt: now }).where(which).returning();
  for (const r of released)
    await tx
      .update(hosts)
      .set({
        allocatedVcpus: sql`${hosts.allocatedVcpus} - ${r.vcpus}`,
        allocatedMemoryMib: sql`${hosts.allocatedMemoryMib} - ${r.memoryMib}`,
        allocatedDiskGib: sql`${hosts.allocatedDiskGib} - ${r.diskGib}`,
        allocatedVms: sql`${hosts.allocatedVms} - 1`,
      })
      .where(eq(hosts.id, r.hostId));
}
