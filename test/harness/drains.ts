import { drainHost, type DrainPlan } from "#commands/moves/drain-host.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { UNDERSTOOD } from "#core/contracts/agent/protocol.ts";
import type { Move } from "#core/moves/move.ts";
import { latestDrainOf } from "#db/moves/drains.ts";
import { loadMove } from "#db/moves/moves.ts";
import { anAgentReport, hostFacts } from "#test/builders.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { MovableVm } from "./moves.ts";
import { aMemberOfStaff } from "./plan-migrations.ts";
import {
  anActiveVm,
  anEnrolledHost,
  aWorld,
  hostSees,
  SIZE,
  valueOf,
  type World,
} from "./world.ts";

const ANNOUNCED = { protocol: 2, understands: [...UNDERSTOOD] } as const;

/** A host with VMs that were delivered a while ago, and others that could take them. */
export type HostToEmpty = Readonly<{
  world: World;
  staff: Awaited<ReturnType<typeof aMemberOfStaff>>;
  from: string;
  others: readonly string[];
  /** In the order of their turns. */
  vmIds: readonly string[];
}>;

/** `others`: for how many VMs each of the others has room. */
export async function aHostToEmpty(
  cp: ControlPlane,
  { vms, others }: { vms: number; others: readonly number[] },
): Promise<HostToEmpty> {
  const own = { memoryMib: memoryFor(vms + 1) };
  const world = await aWorld(cp, { places: vms + 1, addresses: vms + 2, facts: own });
  const vmIds: string[] = [];
  for (let n = 0; n < vms; n++) vmIds.push((await anActiveVm(cp, world)).vmId);
  const ids: string[] = [];
  for (const places of others)
    ids.push(await anEnrolledHost(cp, { locationId: world.locationId, places }));
  cp.clock.advance(20 * 60_000);
  for (const [n, hostId] of [world.hostId, ...ids].entries()) {
    const places = n === 0 ? vms + 1 : (others[n - 1] ?? 0);
    const facts = hostFacts({
      memoryMib: memoryFor(places),
      migrationAddress: { host: `192.0.2.${n + 1}`, port: 16_555 },
    });
    valueOf(await recordReport(cp.deps, hostId, anAgentReport({ facts }), ANNOUNCED));
  }
  for (const vmId of vmIds) await hostSees(cp, world.hostId, vmId, {});
  return {
    world,
    staff: await aMemberOfStaff(cp),
    from: world.hostId,
    others: ids,
    vmIds: vmIds.sort(),
  };
}

/** Of a host with room for so many VMs: what it keeps for itself comes on top, of a large one a sixteenth. */
const memoryFor = (places: number): number =>
  Math.max(places * SIZE.memoryMib + 2048, Math.ceil((places * SIZE.memoryMib * 16) / 15));

type Over = Partial<Parameters<typeof drainHost>[1]>;

export const asksToDrain = (cp: ControlPlane, of: HostToEmpty, over: Over = {}) =>
  drainHost(cp.deps, {
    who: of.staff,
    hostId: of.from,
    reason: "a fan is loud",
    // As `bringTo` brings them on.
    method: "cold",
    maxParallel: 2,
    dryRun: true,
    ...over,
  });

/** As staff do it: a dry run, and then by its hash. Nobody has followed it yet. */
export async function beginsToDrain(
  cp: ControlPlane,
  of: HostToEmpty,
  over: Over = {},
): Promise<{ id: string; plan: DrainPlan }> {
  const { hash } = valueOf(await asksToDrain(cp, of, over));
  const plan = valueOf(await asksToDrain(cp, of, { ...over, dryRun: false, hash }));
  const drain = await latestDrainOf(cp.deps.db, of.from);
  if (!drain) throw new Error("a drain was begun that is not there");
  return { id: drain.id, plan };
}

/** Every host is heard of: none of them says anything of VMs. */
export async function allSpeak(cp: ControlPlane, { from, others }: HostToEmpty): Promise<void> {
  for (const hostId of [from, ...others])
    valueOf(await recordReport(cp.deps, hostId, anAgentReport(), ANNOUNCED));
}

/** Those from the host that go on. */
export async function movesFrom(cp: ControlPlane, { from }: HostToEmpty): Promise<readonly Move[]> {
  const rows = await cp.rows(
    "select id from moves where source_host_id = $1 and outcome is null order by id",
    from,
  );
  const moves: Move[] = [];
  for (const { id } of rows) {
    const kept = await loadMove(cp.deps.db, String(id));
    if (kept) moves.push(kept.move);
  }
  return moves;
}

/** As `bringTo` has it. */
export const endsOf = ({ world, staff }: HostToEmpty, move: Move): MovableVm => ({
  world,
  staff,
  vmId: move.vmId,
  from: move.sourceHostId,
  to: move.destinationHostId,
});

export const drainRows = (cp: ControlPlane, id: string) =>
  cp.rows(
    "select vm_id, state, reason, detail, tries from drain_vms where drain_id = $1 order by vm_id",
    id,
  );

export async function outcomeOf(cp: ControlPlane, id: string): Promise<unknown> {
  const [row] = await cp.rows("select outcome from drains where id = $1", id);
  return row?.["outcome"];
}
