import { recordReport } from "#commands/moves/record-report.ts";
import { followPlanMigrations } from "#commands/billing/follow-plan-migration.ts";
import { UNDERSTOOD } from "#core/contracts/agent/protocol.ts";
import type { AddPlanVersion } from "#core/contracts/api/catalogue.ts";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { Move, MoveStep } from "#core/moves/move.ts";
import { loadMove } from "#db/moves/moves.ts";
import { loadVm } from "#db/vms/vms.ts";
import { ALL_CAPABILITIES, anAgentReport, hostFacts } from "#test/builders.ts";
import type { ControlPlane } from "./control-plane.ts";
import { aHostToEmpty, type HostToEmpty } from "./drains.ts";
import { bringTo } from "./moves.ts";
import { LARGE_LIMITS } from "./plan-changes.ts";
import { aMemberOfStaff, type Migrating } from "./plan-migrations.ts";
import {
  aNewVersion,
  anActiveVm,
  anEnrolledHost,
  aWorld,
  hostSees,
  SIZE,
  valueOf,
} from "./world.ts";

/* Plan migrations in which VMs must move: their host has no room for what they become, and others may. */

export const HUGE = { vcpus: 2, memoryMib: 4096, diskGib: 40 };
const ANNOUNCED = { protocol: 2, understands: [...UNDERSTOOD] } as const;
/** By the words that `bringTo` has. */
const COLD = { ...ALL_CAPABILITIES, moveLive: false };

export type MovingPlan = Migrating & Pick<HostToEmpty, "others">;

/** Places of `SIZE`, of which four make room for one of what is sold by now; the host that they are on has room for none. */
export async function noRoomAtHome(
  cp: ControlPlane,
  { vms, others }: { vms: number; others: readonly number[] },
  plan: Partial<AddPlanVersion> = {},
): Promise<MovingPlan> {
  const of = await aHostToEmpty(cp, { vms, others });
  await aNewVersion(cp, of.world.planId, {
    ...HUGE,
    ...LARGE_LIMITS,
    prices: [{ interval: "month", amountMinor: "900", currency: "usd" }],
    ...plan,
  });
  await cp.rows(
    `update hosts set facts = jsonb_set(facts, '{capabilities,moveLive}', 'false') where location_id = $1`,
    of.world.locationId,
  );
  for (const vmId of of.vmIds) await isWhole(cp, vmId);
  return of;
}

/** A VM on a Hyper-V host that cannot limit IOPS, as what is sold by now asks, and a KVM host that can. */
export async function onHyperV(cp: ControlPlane): Promise<MovingPlan> {
  const hyperv = {
    hypervisor: "hyperv",
    hypervisorVersion: "Windows Server 2025 10.0.26100",
    capabilities: { ...COLD, iopsLimit: false },
  } as const;
  const world = await aWorld(cp, { places: 2, facts: hyperv });
  const { vmId } = await anActiveVm(cp, world);
  // One that does not say by what it boots goes to no other hypervisor.
  await cp.rows("update images set firmware = 'uefi'");
  const other = await anEnrolledHost(cp, { locationId: world.locationId, places: 2 });
  cp.clock.advance(20 * 60_000);
  const memoryMib = 2 * SIZE.memoryMib + 2048;
  await hostBecomes(cp, world.hostId, { ...hyperv, memoryMib });
  await hostBecomes(cp, other, { memoryMib });
  await isWhole(cp, vmId);
  await aNewVersion(cp, world.planId, { diskIops: 900 });
  return { world, vmIds: [vmId], staff: await aMemberOfStaff(cp), others: [other] };
}

/** What a host says of itself from now on. */
export const hostBecomes = async (
  cp: ControlPlane,
  hostId: string,
  over: Partial<HostFacts>,
): Promise<unknown> => {
  const address = { migrationAddress: { host: "192.0.2.77", port: 16_555 } };
  const facts = hostFacts({ capabilities: COLD, ...address, ...over });
  return valueOf(await recordReport(cp.deps, hostId, anAgentReport({ facts }), ANNOUNCED));
};

/** Its host shows it as it is desired now, in every field. */
export async function isWhole(cp: ControlPlane, vmId: string): Promise<void> {
  const vm = await loadVm(cp.deps.db, vmId);
  if (!vm) throw new Error(`there is no VM ${vmId}`);
  const { vcpus, memoryMib, diskGib, bandwidthMbit, diskIops } = vm;
  const observed = { size: { vcpus, memoryMib, diskGib }, limits: { bandwidthMbit, diskIops } };
  await hostSees(cp, vm.hostId, vmId, { observed });
}

/** The move of a VM that is open. */
export async function moveOf(cp: ControlPlane, vmId: string): Promise<Move> {
  const [row] = await cp.rows("select id from moves where vm_id = $1 and outcome is null", vmId);
  const kept = row && (await loadMove(cp.deps.db, String(row["id"])));
  if (!kept) throw new Error(`VM ${vmId} does not move`);
  return kept.move;
}

/** Both ends of its move bring it there. */
export async function bringsTo(
  cp: ControlPlane,
  { world, staff }: Migrating,
  vmId: string,
  step: MoveStep,
): Promise<void> {
  const move = await moveOf(cp, vmId);
  const ends = { from: move.sourceHostId, to: move.destinationHostId };
  await bringTo(cp, { world, staff, vmId, ...ends }, { move }, step);
}

/** All that rings is heard, and the sweep looks. */
export async function goesOn(cp: ControlPlane): Promise<void> {
  await cp.pump();
  await followPlanMigrations(cp.deps);
  await cp.pump();
}

/** On which host it is, as what, and what is held for it where, its own host first. */
export async function liesAt(cp: ControlPlane, vmId: string) {
  const [vm] = await cp.rows(
    `select v.host_id as host, v.vcpus, v.memory_mib as memory, s.plan_version as version, s.amount_minor::int as price
     from vms v join services s on s.vm_id = v.id where v.id = $1`,
    vmId,
  );
  const held = await cp.rows(
    `select host_id as host, memory_mib as memory from reservations where vm_id = $1 and released_at is null order by by_move`,
    vmId,
  );
  return { ...vm, held };
}
