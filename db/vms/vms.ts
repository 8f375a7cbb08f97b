import { and, asc, desc, eq, inArray, isNotNull, isNull, lt, notExists, sql } from "drizzle-orm";
import { entitledOnWire } from "#core/billing/entitlement.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { askedHardware } from "#core/vms/image-hardware.ts";
import { givesRootPassword, wordsOf, type WordyVm } from "#core/vms/words.ts";
import type { VmDesire } from "#core/vms/decide-action.ts";
import type { ActionType } from "#core/vms/action.ts";
import type { SeenColumns } from "#core/vms/seen-size.ts";
import type { OsFamily, Repair, VmSize } from "#core/vms/vm.ts";
import type { Dunning, DunningPolicy } from "#core/billing/dunning.ts";
import { policyFromRow } from "#db/billing/dunning-policies.ts";
import { serviceFromRow, type Service } from "#db/billing/services.ts";
import { pendingWorkOf } from "./actions.ts";
import { asPartOfMove, NO_KEYS, type OpenKey } from "#db/moves/in-document.ts";
import { openMovesOf } from "#db/moves/moves.ts";
import { nicsOf } from "#db/network/addresses.ts";
import type { Db, Tx } from "#db/client.ts";
import { byBytes, inOrder, type KeysetPage } from "#db/keyset.ts";
import { list, runNamed } from "#db/named.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { having, readPlaces, type Narrowing, type Part, type ReadPage } from "#db/read-places.ts";
import { images, locations } from "#db/schema/catalogue.ts";
import { hosts } from "#db/schema/hosts.ts";
import { ipLeases } from "#db/schema/network.ts";
import { dunningPolicies, dunnings, invoices, services } from "#db/schema/billing.ts";
import { orders } from "#db/schema/orders.ts";
import { actions, vms } from "#db/schema/vms.ts";
import { together } from "#db/together.ts";

export type VmRow = typeof vms.$inferSelect;

export async function insertVm(
  tx: Tx,
  vm: Pick<
    VmRow,
    | "id"
    | "accountId"
    | "hostId"
    | "imageId"
    | "locationId"
    | "hostname"
    | "sshKeys"
    | "userData"
    | "rootPassword"
    | "createdAt"
    | "bandwidthMbit"
    | "diskIops"
  > & { size: VmSize },
): Promise<void> {
  const { size, ...row } = vm;
  await vmInserted(tx, { ...row, ...size });
}

const vmInserted = prepared(
  "vm_inserted",
  (db, at: Slots<Omit<Parameters<typeof insertVm>[1], "size"> & VmSize>) =>
    db.insert(vms).values({
      id: at.id,
      accountId: at.accountId,
      hostId: at.hostId,
      imageId: at.imageId,
      locationId: at.locationId,
      hostname: at.hostname,
      sshKeys: at.sshKeys,
      userData: at.userData,
      rootPassword: at.rootPassword,
      createdAt: at.createdAt,
      vcpus: at.vcpus,
      memoryMib: at.memoryMib,
      diskGib: at.diskGib,
      bandwidthMbit: at.bandwidthMbit,
      diskIops: at.diskIops,
      presence: "present",
      desiredPower: "running",
      stopMode: "graceful",
      // Above what its host's agent may hold of a VM that was made before a restore, and is made known anew.
      generation: sql`1 + (select ${hosts.raisedBy} from ${hosts} where ${hosts.id} = ${at.hostId})`,
      ownerEpoch: 1,
    }),
);

export async function loadVm(db: Db | Tx, id: string): Promise<VmRow | undefined> {
  const [row] = await db.select().from(vms).where(eq(vms.id, id));
  return row;
}

/** Loads the VM and holds it until the transaction ends: one decision at a time on one VM. */
export async function lockVm(tx: Tx, id: string): Promise<VmRow | undefined> {
  const [row] = await tx.select().from(vms).where(eq(vms.id, id)).for("update");
  return row;
}

/** Those of a host's VMs that it has lost and nothing is under way of, with their guest's family, the oldest first. */
export async function lostVmsOf(
  db: Db | Tx,
  hostId: string,
  limit: number,
): Promise<readonly { vm: VmRow; os: OsFamily }[]> {
  return db
    .select({ vm: vms, os: images.os })
    .from(vms)
    .innerJoin(images, eq(images.id, vms.imageId))
    .where(
      and(
        eq(vms.hostId, hostId),
        eq(vms.presence, "present"),
        isNull(vms.deletedAt),
        isNotNull(vms.lostAt),
        notExists(
          db
            .select({ one: sql`1` })
            .from(actions)
            .where(and(eq(actions.vmId, vms.id), eq(actions.status, "running"))),
        ),
      ),
    )
    .orderBy(asc(vms.id))
    .limit(limit);
}

export async function lockVmsOf(
  tx: Tx,
  hostId: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, VmRow>> {
  if (ids.length === 0) return new Map();
  const rows = await vmsHeld(tx, { hostId, ids });
  return new Map(rows.map((r) => [r.id, r]));
}

const vmsHeld = prepared("vms_held", (db, at: Slots<{ hostId: string; ids: readonly string[] }>) =>
  db
    .select()
    .from(vms)
    .where(and(eq(vms.hostId, at.hostId), sql`${vms.id} = any(${at.ids}::uuid[])`))
    .orderBy(asc(vms.id)) // always in one order, so that two reports never wait for each other in a ring
    .for("update"),
);

export async function saveDesire(tx: Tx, vmId: string, desire: VmDesire): Promise<void> {
  await tx
    .update(vms)
    .set({
      presence: desire.presence,
      desiredPower: desire.power,
      stopMode: desire.stopMode,
      generation: desire.generation,
    })
    .where(eq(vms.id, vmId));
}

/** What a change of plan makes of it. */
export async function saveSize(
  tx: Tx,
  vmId: string,
  to: Pick<VmRow, "vcpus" | "memoryMib" | "diskGib" | "bandwidthMbit" | "diskIops" | "generation">,
): Promise<void> {
  const { vcpus, memoryMib, diskGib, bandwidthMbit, diskIops, generation } = to;
  await tx
    .update(vms)
    .set({ vcpus, memoryMib, diskGib, bandwidthMbit, diskIops, generation })
    .where(eq(vms.id, vmId));
}

/** The VM is another host's from now on, in a new epoch. What was seen of its boot is of the host before. */
export async function saveOwner(
  tx: Tx,
  vmId: string,
  owner: Pick<VmRow, "hostId" | "ownerEpoch" | "generation">,
): Promise<void> {
  const { hostId, ownerEpoch, generation } = owner;
  await tx.update(vms).set({ hostId, ownerEpoch, generation }).where(eq(vms.id, vmId));
}

export async function saveProtection(
  tx: Tx,
  vmId: string,
  deleteProtected: boolean,
): Promise<void> {
  await tx.update(vms).set({ deleteProtected }).where(eq(vms.id, vmId));
}

export async function saveLabel(tx: Tx, vmId: string, label: string | null): Promise<void> {
  await tx.update(vms).set({ label }).where(eq(vms.id, vmId));
}

/** What a report changes of a VM. */
export type Observation = Readonly<{ vmId: string }> &
  Pick<
    VmRow,
    | "observedPower"
    | "observedGeneration"
    | "observedAt"
    | "firstSeenAt"
    | "runningSince"
    | "firstRunningAt"
    | "ranMs"
    | "guestReadyAt"
    | "bootEpoch"
    | keyof SeenColumns
    | "lastErrorCode"
    | "lastErrorDetail"
    | "lastErrorSince"
    | "lastErrorTimes"
    | "lostAt"
  >;

export async function saveObservation(
  tx: Tx,
  vmId: string,
  seen: Partial<Omit<Observation, "vmId"> & Pick<VmRow, "silentFrom" | "deletedAt">>,
): Promise<void> {
  await tx.update(vms).set(seen).where(eq(vms.id, vmId));
}

/** Saves what was seen of many VMs, by one statement. The caller holds them. */
export async function saveObservations(tx: Tx, seen: readonly Observation[]): Promise<void> {
  if (seen.length === 0) return;
  const at = (
    column:
      | "observedAt"
      | "firstSeenAt"
      | "runningSince"
      | "firstRunningAt"
      | "guestReadyAt"
      | "lastErrorSince"
      | "lostAt",
  ) => list(seen, (o) => o[column]);
  await runNamed(
    tx,
    "save_observations",
    sql`
    update ${vms} as v set observed_power = n.power, observed_generation = n.generation, observed_at = n.at,
      first_seen_at = n.first_seen, running_since = n.running_since, first_running_at = n.first_running, ran_ms = n.ran_ms,
      guest_ready_at = n.guest_ready, boot_epoch = n.boot, seen_vcpus = n.vcpus, seen_memory_mib = n.memory_mib,
      seen_disk_gib = n.disk_gib, seen_limits_known = n.limits_known, seen_bandwidth_mbit = n.bandwidth_mbit,
      seen_disk_iops = n.disk_iops, seen_hot_vcpus = n.hot_vcpus, last_error_code = n.error_code, last_error_detail = n.error_detail,
      last_error_since = n.error_since, last_error_times = n.error_times, lost_at = n.lost
    from unnest(
      ${list(seen, (o) => o.vmId)}::uuid[], ${list(seen, (o) => o.observedPower)}::vm_observed_power[],
      ${list(seen, (o) => o.observedGeneration)}::int[], ${at("observedAt")}::timestamptz[], ${at("firstSeenAt")}::timestamptz[], ${at("runningSince")}::timestamptz[],
      ${at("firstRunningAt")}::timestamptz[], ${list(seen, (o) => o.ranMs)}::bigint[], ${at("guestReadyAt")}::timestamptz[],
      ${list(seen, (o) => o.bootEpoch)}::text[], ${list(seen, (o) => o.seenVcpus)}::int[],
      ${list(seen, (o) => o.seenMemoryMib)}::int[], ${list(seen, (o) => o.seenDiskGib)}::int[],
      ${list(seen, (o) => o.seenLimitsKnown)}::bool[], ${list(seen, (o) => o.seenBandwidthMbit)}::int[],
      ${list(seen, (o) => o.seenDiskIops)}::int[], ${list(seen, (o) => o.seenHotVcpus)}::int[],
      ${list(seen, (o) => o.lastErrorCode)}::text[],
      ${list(seen, (o) => o.lastErrorDetail)}::text[], ${at("lastErrorSince")}::timestamptz[], ${list(seen, (o) => o.lastErrorTimes)}::int[],
      ${at("lostAt")}::timestamptz[]
    ) as n (id, power, generation, at, first_seen, running_since, first_running, ran_ms, guest_ready, boot, vcpus,
      memory_mib, disk_gib, limits_known, bandwidth_mbit, disk_iops, hot_vcpus, error_code, error_detail, error_since, error_times, lost)
    where v.id = n.id`,
  );
}

export type VmView = Readonly<{
  vm: VmRow;
  /** null: no order led to it. */
  orderId: string | null;
  bought: Service;
  hostLastSeenAt: Date | null;
  runningAction: { id: string; type: ActionType } | null;
  addresses: readonly string[];
  /** What is owed for it; null: nothing is dunned for. */
  overdue: OverdueView | null;
}>;
export type OverdueView = Dunning &
  Readonly<{ startedAt: Date; policy: DunningPolicy; payUrl: string | null }>;

const view = (db: Db | Tx) =>
  db
    .select({
      vm: vms,
      orderId: orders.id,
      service: services,
      hostLastSeenAt: hosts.lastSeenAt,
      actionId: actions.id,
      actionType: actions.type,
      addresses: sql<
        string[]
      >`coalesce((select array_agg(host(${ipLeases.address}) order by ${ipLeases.id}) from ${ipLeases}
        where ${ipLeases.vmId} = ${vms.id} and ${ipLeases.releasedAt} is null), '{}')`,
      dunning: dunnings,
      policy: dunningPolicies,
      payUrl: sql<
        string | null
      >`case when ${dunnings.id} is not null then (select i.hosted_url from ${invoices} i
        where i.order_id = ${orders.id} and i.status = 'open' and i.number is not null order by i.created_at desc limit 1) end`,
    })
    .from(vms)
    .innerJoin(hosts, eq(hosts.id, vms.hostId))
    .innerJoin(services, eq(services.vmId, vms.id))
    .leftJoin(orders, eq(orders.vmId, vms.id))
    .leftJoin(actions, and(eq(actions.vmId, vms.id), eq(actions.status, "running")))
    .leftJoin(dunnings, and(eq(dunnings.vmId, vms.id), isNull(dunnings.outcome)))
    .leftJoin(dunningPolicies, eq(dunningPolicies.version, dunnings.policyVersion));

const viewFromRow = (r: Awaited<ReturnType<typeof view>>[number]): VmView => ({
  vm: r.vm,
  orderId: r.orderId,
  bought: serviceFromRow(r.service),
  hostLastSeenAt: r.hostLastSeenAt,
  runningAction:
    r.actionId !== null && r.actionType !== null ? { id: r.actionId, type: r.actionType } : null,
  addresses: r.addresses,
  overdue:
    r.dunning && r.policy
      ? { ...r.dunning, policy: policyFromRow(r.policy), payUrl: r.payUrl }
      : null,
});

/** VMs of an account that are not gone, newest first. */
export async function listVmViews(
  db: Db,
  accountId: string,
  page: { limit: number; before: string | null },
): Promise<readonly VmView[]> {
  const rows = await view(db)
    .where(
      and(
        eq(vms.accountId, accountId),
        isNull(vms.deletedAt),
        page.before === null ? undefined : lt(vms.id, page.before),
      ),
    )
    .orderBy(desc(vms.id))
    .limit(page.limit);
  return rows.map(viewFromRow);
}

export type VmFilter = Readonly<{
  accountId: string | null;
  hostId: string | null;
  locationId: string | null;
  planId: string | null;
  /** `here`: not gone; `lost`: its host says that it is not there, though it should be. */
  presence: "here" | "lost" | "gone" | "any";
}>;
export type VmSort = Readonly<{ by: "createdAt" | "hostname"; down: boolean }>;

/** Indexes have those that are here apart from those that are gone: of the first there is an end, of the others not. */
const isGone = sql`(${vms.deletedAt} is not null)`;
const isLost = sql`(${vms.lostAt} is not null)`;
const HERE = { where: isNull(vms.deletedAt), having: { column: isGone, value: false } };
const GONE = { where: isNotNull(vms.deletedAt), having: { column: isGone, value: true } };
const PRESENT: Record<VmFilter["presence"], readonly Part[]> = {
  here: [HERE],
  lost: [HERE],
  gone: [GONE],
  any: [HERE, GONE],
};

function narrowingsOf({ accountId, hostId, locationId, planId, presence }: VmFilter) {
  const narrowings: Narrowing[] = [];
  if (hostId !== null) narrowings.push(having(vms.hostId, hostId, "ordered"));
  if (presence === "lost")
    narrowings.push({
      where: isNotNull(vms.lostAt),
      index: "ordered",
      having: { column: isLost, value: true },
      indexed: isNotNull(vms.lostAt),
    });
  if (accountId !== null) narrowings.push(having(vms.accountId, accountId, "ordered"));
  if (planId !== null)
    narrowings.push({
      // Not `exists`: for that, Postgres may read all of the plan's VMs first.
      where: sql`(select ${services.planId} from ${services} where ${services.vmId} = ${vms.id}) = ${planId}::uuid`,
      index: "apart",
      from: {
        counted: sql`select from ${services} where ${services.planId} = ${planId}::uuid`,
        rows: sql`(select ${services.vmId} as of_plan from ${services} where ${services.planId} = ${planId}::uuid offset 0) as bought
          join lateral (select * from ${vms} where ${vms.id} = of_plan offset 0) as vms on true`,
      },
    });
  if (locationId !== null) narrowings.push(having(vms.locationId, locationId, "ordered"));
  return narrowings;
}

/** Everybody's VMs, in the order in which their orders were made, as their ids have it, or by name. */
export async function listStaffVmViews(
  db: Db,
  filter: VmFilter,
  { by, down }: VmSort,
  page: KeysetPage,
): Promise<ReadPage<VmView>> {
  const order = { id: vms.id, down, ...(by === "hostname" && { by: byBytes(vms.hostname) }) };
  const parts = PRESENT[filter.presence];
  const narrowings = narrowingsOf(filter);
  const { ids, end } = await readPlaces(db, { table: vms, order, parts, narrowings }, page);
  const rows = await view(db)
    .where(inArray(vms.id, [...ids]))
    .orderBy(...inOrder(order));
  return { rows: rows.map(viewFromRow), end };
}

export async function loadVmView(db: Db | Tx, id: string): Promise<VmView | undefined> {
  const [row] = await view(db).where(eq(vms.id, id));
  return row && viewFromRow(row);
}

const DESIRED = {
  vmId: vms.id,
  generation: vms.generation,
  ownerEpoch: vms.ownerEpoch,
  presence: vms.presence,
  firstSeenAt: vms.firstSeenAt,
  power: vms.desiredPower,
  stopMode: vms.stopMode,
  entitledUntil: services.entitledUntil,
  grantedDays: services.grantedDays,
  grantedUntil: services.grantedUntil,
  neverSuspendUntil: services.neverSuspendUntil,
  suspendDays: services.suspendDays,
  warnedUntil: services.warnedUntil,
  suspensions: services.suspensions,
  hostname: vms.hostname,
  size: { vcpus: vms.vcpus, memoryMib: vms.memoryMib, diskGib: vms.diskGib },
  image: images,
  nameservers: locations.nameservers,
  sshKeys: vms.sshKeys,
  userData: vms.userData,
  rootPassword: vms.rootPassword,
  bandwidthMbit: vms.bandwidthMbit,
  diskIops: vms.diskIops,
};

const vmsDesired = prepared("vms_desired", (db, at: Slots<{ hostId: string }>) =>
  db
    .select(DESIRED)
    .from(vms)
    .innerJoin(images, eq(images.id, vms.imageId))
    .innerJoin(locations, eq(locations.id, vms.locationId))
    .innerJoin(services, eq(services.vmId, vms.id))
    .where(and(eq(vms.hostId, at.hostId), isNull(vms.deletedAt)))
    .orderBy(asc(vms.id)),
);

/** Of moves from or to a host that is not, or no longer, their VMs' own. */
const vmsMoving = prepared("vms_moving", (db, at: Slots<{ ids: readonly string[] }>) =>
  db
    .select(DESIRED)
    .from(vms)
    .innerJoin(images, eq(images.id, vms.imageId))
    .innerJoin(locations, eq(locations.id, vms.locationId))
    .innerJoin(services, eq(services.vmId, vms.id))
    .where(sql`${vms.id} = any(${at.ids}::uuid[])`)
    .orderBy(asc(vms.id)),
);

/**
 * Every VM that a host should have, or that moves from or to it. They are of one instant only while the caller holds the host's row.
 */
export async function desiredVmsOf(
  db: Db | Tx,
  hostId: string,
  openKey: OpenKey = NO_KEYS,
): Promise<readonly DesiredVm[]> {
  const [own, open] = await together([vmsDesired(db, { hostId }), openMovesOf(db, hostId)]);
  const here = new Set(own.map((r) => r.vmId));
  const elsewhere = open.flatMap(({ move }) => (here.has(move.vmId) ? [] : [move.vmId]));
  const others = elsewhere.length === 0 ? [] : await vmsMoving(db, { ids: elsewhere });
  const desired = await render(db, [...own, ...others]);
  if (open.length === 0) return desired;
  const moving = new Map(open.map((kept) => [kept.move.vmId, kept]));
  return desired
    .flatMap((vm) => {
      const kept = moving.get(vm.vmId);
      return kept ? (asPartOfMove(vm, kept, hostId, openKey) ?? []) : vm;
    })
    .toSorted((a, b) => (a.vmId < b.vmId ? -1 : 1));
}

async function render(
  db: Db | Tx,
  rows: Awaited<ReturnType<typeof vmsDesired>>,
): Promise<readonly DesiredVm[]> {
  const bandwidth = new Map(rows.map((r) => [r.vmId, r.bandwidthMbit]));
  const ids = rows.map((r) => r.vmId);
  const [nics, pending] = await together([
    nicsOf(db, ids, (id) => bandwidth.get(id) ?? null),
    pendingWorkOf(db, ids),
  ]);
  return rows.map((vm) => ({
    vmId: vm.vmId,
    generation: vm.generation,
    ownerEpoch: vm.ownerEpoch,
    presence: vm.presence,
    mayCreate: vm.firstSeenAt === null,
    // What its owner asked for stays as it is: lifting brings back the power that was found. Every agent knows "off".
    power: vm.suspensions.length > 0 ? "off" : vm.power,
    stopMode: vm.stopMode,
    entitledUntil: entitledOnWire(vm).toISOString(),
    hostname: vm.hostname,
    size: vm.size,
    image: {
      id: vm.image.id,
      file: vm.image.file,
      os: vm.image.os,
      minMemoryMib: vm.image.minMemoryMib,
      ...askedHardware(vm.image),
    },
    nics: nics.get(vm.vmId) ?? [],
    nameservers: [...vm.nameservers],
    sshKeys: vm.sshKeys,
    userData: vm.userData,
    diskIops: vm.diskIops,
    pendingActions: pending.get(vm.vmId)?.oneShots ?? [],
    ...demandsOf(vm, vm.image, pending.get(vm.vmId)?.repair ?? null),
  }));
}

type AskedOf = Pick<VmRow, "presence" | "rootPassword" | "firstSeenAt">;

/** The VM as `core/vms/words.ts` looks at it. */
const wordyVm = (
  { presence, rootPassword, firstSeenAt }: AskedOf,
  image: typeof images.$inferSelect,
  repair: Repair | null,
): WordyVm => ({
  presence,
  os: image.os,
  rootPassword,
  isMade: firstSeenAt !== null,
  hardware: image,
  repair,
});

/** A VM as the words for it go by, and what its host's agent understands; undefined: there is no such VM. */
export async function loadWords(
  tx: Tx,
  vmId: string,
): Promise<{ vm: WordyVm; understands: readonly string[] | null } | undefined> {
  const [row] = await tx
    .select({ vm: vms, image: images, understands: hosts.understands })
    .from(vms)
    .innerJoin(images, eq(images.id, vms.imageId))
    .innerJoin(hosts, eq(hosts.id, vms.hostId))
    .where(eq(vms.id, vmId));
  return row && { vm: wordyVm(row.vm, row.image, null), understands: row.understands };
}

/** What an agent must not pass over, and the words for it. */
function demandsOf(
  vm: AskedOf,
  image: typeof images.$inferSelect,
  repair: Repair | null,
): Pick<DesiredVm, "rootPassword" | "repair" | "needs"> {
  const asked = wordyVm(vm, image, repair);
  const rootPassword = givesRootPassword(asked);
  const needs = [...wordsOf(asked)];
  return {
    ...(rootPassword && { rootPassword }),
    ...(repair !== null && { repair }),
    ...(needs.length > 0 && { needs }),
  };
}
