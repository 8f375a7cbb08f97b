import { z } from "zod";
import type { AgentReport, VmReport } from "#core/contracts/agent/report.ts";
import { UNDERSTOOD } from "#core/contracts/agent/protocol.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { MoveReport } from "#core/contracts/agent/moves.ts";
import { MOVE_STEPS, type Move, type MoveMethod, type MoveStep } from "#core/moves/move.ts";
import { beginMove, showMove, type BegunMove } from "#commands/moves/begin-move.ts";
import { toForced } from "#commands/moves/plan-move.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { anAgentReport, aPrincipal, aVmReport, hostFacts } from "#test/builders.ts";
import type { ControlPlane } from "./control-plane.ts";
import { anActiveVm, anEnrolledHost, aWorld, hostSees, valueOf, type World } from "./world.ts";

const ANNOUNCED = { protocol: 2, understands: [...UNDERSTOOD] } as const;
export const SHA = "ab".repeat(32);
const address = (host: string) => ({ host, port: 16_555 });

/** A VM that was delivered a while ago, its host, and another host that could take it. */
export type MovableVm = Readonly<{
  world: World;
  staff: AccountPrincipal;
  vmId: string;
  from: string;
  to: string;
}>;

export async function aMovableVm(
  cp: ControlPlane,
  options: { facts?: Parameters<typeof hostFacts>[0]; places?: number } = {},
): Promise<MovableVm> {
  const world = await aWorld(cp, { places: options.places ?? 2 });
  const { vmId } = await anActiveVm(cp, world);
  const to = await anEnrolledHost(cp, {
    locationId: world.locationId,
    places: options.places ?? 2,
  });
  cp.clock.advance(20 * 60_000);
  const speaks = (host: string, n: number, facts = {}) =>
    recordReport(
      cp.deps,
      host,
      anAgentReport({
        facts: hostFacts({
          memoryMib: 8192,
          migrationAddress: address(`192.0.2.${n}`),
          ...facts,
        }),
      }),
      ANNOUNCED,
    );
  valueOf(await speaks(world.hostId, 1));
  valueOf(await speaks(to, 2, options.facts));
  await hostSees(cp, world.hostId, vmId, {});
  const staff = { ...aPrincipal(), role: "staff" } as const;
  return { world, staff, vmId, from: world.hostId, to };
}

/** Staff look at the move, and begin what they saw. */
export async function beginShown(
  cp: ControlPlane,
  { staff, vmId, to }: MovableVm,
  method: MoveMethod = "cold",
): Promise<BegunMove> {
  const asked = { vmId, hostId: to, method };
  const plan = valueOf(await showMove(cp.deps, asked));
  const hash = toForced(plan)?.hash;
  const by = { who: staff, reason: "its host is worn out" };
  return valueOf(await beginMove(cp.deps, { ...asked, ...by, hash }));
}

/** A host's report of its part, and of the VM as it has it. */
export const hostSays = async (
  cp: ControlPlane,
  hostId: string,
  said: {
    moves?: readonly Partial<MoveReport>[];
    vm?: Partial<Omit<VmReport, "observed">> & { observed?: VmReport["observed"] | object };
  },
  { move, vmId }: { move: { id: string }; vmId: string },
  more: Partial<AgentReport> = {},
) =>
  valueOf(
    await recordReport(
      cp.deps,
      hostId,
      anAgentReport({
        moves: (said.moves ?? []).map((of) => ({
          moveId: move.id,
          vmId,
          step: "prepare",
          done: null,
          error: null,
          ...of,
        })),
        vms: said.vm ? [aVmReport({ vmId, ...said.vm })] : [],
        ...more,
      }),
      ANNOUNCED,
    ),
  );

/** What a host is told of the VM; undefined: nothing. */
export async function toldOf(
  cp: ControlPlane,
  hostId: string,
  vmId: string,
): Promise<DesiredVm | undefined> {
  const read = createDesiredReader(cp.deps);
  const answer = await read(hostId, { etag: undefined, atLeast: 0, announced: ANNOUNCED });
  if (answer.kind !== "document") throw new Error("a document was asked for");
  return answer.document.vms.find((vm) => vm.vmId === vmId);
}

export const DISK = {
  format: "qcow2",
  virtualBytes: String(20 * 2 ** 30),
  exportBytes: String(2 ** 30),
  base: null,
} as const;

/** Each end's words in turn, up to where the move is at `step`, with its VM that runs. */
export async function bringTo(
  cp: ControlPlane,
  vm: MovableVm,
  { move }: Readonly<{ move: Pick<Move, "id" | "sourceEpoch" | "epoch"> }>,
  step: MoveStep,
): Promise<void> {
  const of = { move, vmId: vm.vmId };
  const epochs = { from: move.sourceEpoch, to: move.epoch };
  const off = { power: "off", bootEpoch: null } as const;
  const words: Readonly<Partial<Record<MoveStep, () => Promise<unknown>>>> = {
    prepare: async () => {
      await hostSays(cp, vm.from, { moves: [{ done: "ready", disk: DISK }] }, of);
      await hostSays(cp, vm.to, { moves: [{ done: "ready" }] }, of);
    },
    copy: async () => {
      const seen = { ownerEpoch: epochs.from, observed: { ...off, ownerEpoch: epochs.from } };
      await hostSays(cp, vm.from, { vm: seen }, of);
      cp.clock.advance(20_000);
      const copied = { step: "copy", done: "copied", sha256: SHA } as const;
      await hostSays(cp, vm.from, { moves: [copied] }, of);
      await hostSays(cp, vm.to, { moves: [copied] }, of);
    },
    release: () => hostSays(cp, vm.from, { moves: [{ step: "release", done: "released" }] }, of),
    take_over: () => hostSees(cp, vm.to, vm.vmId, {}),
    clean: () => hostSays(cp, vm.from, { vm: { ownerEpoch: epochs.from, observed: null } }, of),
    hold: () => hostSays(cp, vm.from, { moves: [{ step: "hold", done: "held" }] }, of),
    drop: () => hostSays(cp, vm.to, { vm: { ownerEpoch: epochs.to, observed: null } }, of),
  };
  for (let last: MoveStep | null = null; ;) {
    const [row] = await cp.rows("select step from moves where id = $1", move.id);
    const at = z.enum(MOVE_STEPS).parse(row?.["step"]);
    if (at === step) return;
    const say = words[at];
    if (!say || at === last) throw new Error(`a move at ${at} does not come to ${step}`);
    last = at;
    await say();
  }
}
