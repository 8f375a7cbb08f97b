import type { SimHost } from "../host.ts";
import type { Row } from "../mirror.ts";
import { isLostVm } from "./lost-hour.ts";
import { FOREIGN } from "../sim-world.ts";
import { first, machines, nowOf, runs, type MakeCheck, type Scene } from "./scene.ts";

/*
 * Moves (docs/domain.md, "Moves"), by what the hosts' own worlds hold: never by what anybody says of them.
 */

/** Those of a VM that have not ended. */
const openMoveOf = ({ mirror }: Scene, vmId: string): Row<"moves"> | undefined =>
  mirror.moves.all().find((move) => move.vm_id === vmId && move.outcome === null);

/** Who may have a copy of a VM now, and under which epoch: its owner, and the two ends of its open move. */
function mayHave(scene: Scene, row: Row<"vms">): readonly (readonly [string, number])[] {
  const move = openMoveOf(scene, row.id);
  const owner = [row.host_id, row.owner_epoch] as const;
  return move === undefined
    ? [owner]
    : [owner, [move.source_host_id, move.source_epoch], [move.destination_host_id, move.epoch]];
}

/** Steps at which the source's copy must stand still: it is being given away, or is given away. */
const GIVEN_AWAY: ReadonlySet<string> = new Set(["release", "take_over", "clean"]);

/**
 * 17. A VM runs on one host at a time, which is its owner, under its epoch; another host has a copy of it for an open move alone,
 * under that attempt's epoch. Once the source's disk has gone to the destination, and until one of the two owns it for good, it is off.
 */
export const oneHostHasIt: MakeCheck = (scene) => ({
  invariant: 17,
  onStep: () => {
    const running = new Map<string, string>();
    return first(machines(scene), ({ host, vm }) => {
      const row = scene.mirror.vms.get(vm.vmId);
      if (row === undefined) return undefined;
      const isAllowed = mayHave(scene, row).some(
        ([hostId, epoch]) => hostId === host.hostId && epoch === vm.ownerEpoch,
      );
      if (!isAllowed)
        return `${host.name} has VM ${vm.vmId} under epoch ${vm.ownerEpoch}, and its owner's is ${row.owner_epoch}`;
      if (!runs(vm, nowOf(scene))) return undefined;
      const other = running.get(vm.vmId);
      running.set(vm.vmId, host.name);
      if (other !== undefined) return `VM ${vm.vmId} runs on ${other} and on ${host.name}`;
      if (row.host_id !== host.hostId || row.owner_epoch !== vm.ownerEpoch)
        return `VM ${vm.vmId} runs on ${host.name}, which does not own it`;
      if (vm.released === true) return `VM ${vm.vmId} runs, and was released`;
      const move = openMoveOf(scene, vm.vmId);
      const isSource = move?.source_host_id === host.hostId;
      const isSent = move?.step === "copy" && move.sent_sha256 !== null;
      return isSource && (isSent || GIVEN_AWAY.has(move.step))
        ? `VM ${vm.vmId} runs on ${host.name}, which gives it away`
        : undefined;
    });
  },
});

/**
 * 17. The owner changes with a move's step to `take_over` alone, to the epoch that was drawn for it, after its source has marked its
 * copy so that it cannot start it; and no epoch of a VM is drawn twice.
 */
export const ownerMovesByRelease: MakeCheck = (scene) => {
  /** By VM, each epoch with the host that it was for. */
  const drawn = new Map<string, Map<number, string>>();
  return {
    invariant: 17,
    onCommit: () =>
      first(scene.mirror.moves.changed, ({ before, after }) => {
        if (before !== null || after === null) return undefined;
        const { vm_id: vmId, source_host_id, destination_host_id, source_epoch, epoch } = after;
        const known = drawn.get(vmId) ?? new Map([[source_epoch, source_host_id]]);
        drawn.set(vmId, known);
        if (known.has(epoch)) return `epoch ${epoch} of VM ${vmId} was drawn twice`;
        known.set(epoch, destination_host_id);
        return undefined;
      }) ??
      first(scene.mirror.vms.changed, ({ before, after }) => {
        if (before === null || after === null || before.owner_epoch === after.owner_epoch)
          return before !== null && after !== null && before.host_id !== after.host_id
            ? `VM ${after.id} has another host under one epoch`
            : undefined;
        const move = scene.mirror.moves
          .all()
          .find((each) => each.vm_id === after.id && each.epoch === after.owner_epoch);
        if (move === undefined || move.destination_host_id !== after.host_id)
          return `VM ${after.id} has another owner, and no move of it says so`;
        const source = hostOf(scene, move.source_host_id);
        const left = source?.world.get(after.id);
        // One that is not there any more cannot be started either.
        return left !== undefined && left.ownerEpoch === move.source_epoch && left.released !== true
          ? `VM ${after.id} has another owner, and ${source?.name} could start it still`
          : undefined;
      }),
  };
};

const hostOf = ({ hosts }: Scene, hostId: string): SimHost | undefined =>
  hosts.find((host) => host.hostId === hostId);

/**
 * Why a host may put a copy of a VM that stays into its trash: by a move that is over for it. null: it may not.
 * Asked when the copy has gone there: then its owner has the very disk.
 */
export function whyPutAway(
  scene: Scene,
  copy: { host: string; vmId: string },
): Row<"moves"> | null {
  const host = scene.hosts.find(({ name }) => name === copy.host);
  return (
    scene.mirror.moves
      .all()
      .find(
        (move) =>
          move.vm_id === copy.vmId &&
          (move.released_at === null
            ? move.destination_host_id === host?.hostId && isOver(move, "drop")
            : move.source_host_id === host?.hostId && isOver(move, "clean")),
      ) ?? null
  );
}
const isOver = ({ step }: Row<"moves">, at: "drop" | "clean"): boolean =>
  step === at || step === "ended";

/**
 * 24. What its guest wrote goes with a VM: the disk at its new host is the one of before; and a copy is put away only while the
 * VM's owner has that disk whole.
 */
export const diskGoesWithIt: MakeCheck = (scene) => {
  /** By VM, the disk that its owner had last, and by whose hand it may be another one. */
  const had = new Map<string, { serial: string; host: string }>();
  const putAway = new Set<string>();
  return {
    invariant: 24,
    onStep: () =>
      first(scene.mirror.moves.rows.size === 0 ? [] : scene.mirror.vms.all(), (row) => {
        if (isExempt(scene, row)) {
          had.delete(row.id);
          return undefined;
        }
        const owner = hostOf(scene, row.host_id);
        const disk = owner?.world.get(row.id)?.disk;
        const before = had.get(row.id);
        if (owner && disk) had.set(row.id, { serial: disk.serial, host: owner.name });
        return owner &&
          disk &&
          before &&
          before.host !== owner.name &&
          before.serial !== disk.serial
          ? `VM ${row.id} came to ${owner.name} with another disk than it had on ${before.host}`
          : undefined;
      }) ??
      first(scene.mirror.moves.rows.size === 0 ? [] : scene.hosts, (host) =>
        first(host.world.disks.values(), ({ serial, vmId, trashedAt, goneAt }) => {
          const key = `${host.name}/${serial}`;
          if (trashedAt === null && goneAt === null) {
            putAway.delete(key);
            return undefined;
          }
          // Somebody made one by hand, under its id.
          if (putAway.has(key) || serial.startsWith(FOREIGN)) return undefined;
          putAway.add(key);
          const row = scene.mirror.vms.get(vmId);
          if (row === undefined || isExempt(scene, row)) return undefined;
          if (whyPutAway(scene, { host: host.name, vmId }) === null) return undefined;
          return hostOf(scene, row.host_id)?.world.get(vmId)?.disk?.serial === serial
            ? undefined
            : `${host.name} has put its copy of VM ${vmId} away, and nobody has another one`;
        }),
      ),
    atRest: () =>
      first(scene.mirror.moves.all(), (move) =>
        move.outcome === null ? `the move of VM ${move.vm_id} is still at ${move.step}` : undefined,
      ) ??
      first(scene.hosts, (host) =>
        first(host.disk.names(), (file) => `${host.name} still has ${file}, and no move is open`),
      ) ??
      first(scene.mirror.vms.all(), (row) => {
        if (row.deleted_at !== null || scene.mirror.moves.rows.size === 0) return undefined;
        const held = scene.mirror.reservations
          .all()
          .filter((each) => each.vm_id === row.id && each.released_at === null);
        const [only] = held;
        return held.length === 1 && only?.host_id === row.host_id && !only.by_move
          ? undefined
          : `VM ${row.id} has ${held.length} places on hosts, and is on one`;
      }),
  };
};

/** What was taken from it by hand, made anew, or told to go, may be another one. */
const isExempt = (scene: Scene, row: Row<"vms">): boolean =>
  row.presence === "absent" ||
  row.lost_at !== null ||
  scene.mirror.losses.all().some(({ vm_id: vmId }) => vmId === row.id) ||
  scene.mirror.actions.all().some((a) => a.vm_id === row.id && a.type === "recreate") ||
  scene.hosts.some(({ world }) =>
    [...world.disks.values()].some((d) => d.vmId === row.id && world.takenByHand.has(d.serial)),
  );

/**
 * 19. A host's document names only what is bound to it, or moves from or to it, under the epoch that is this host's; and once it is the
 * newest one, only what is so now.
 */
export const documentsKeepToTheirHosts: MakeCheck = (scene) => {
  const ever = new Set<string>();
  const seen = new Map<string, string>();
  return {
    invariant: 19,
    onCommit: () => {
      for (const { after } of scene.mirror.vms.changed)
        if (after) ever.add(`${after.id} ${after.host_id} ${after.owner_epoch}`);
      for (const { after } of scene.mirror.moves.changed)
        if (after) {
          ever.add(`${after.vm_id} ${after.source_host_id} ${after.source_epoch}`);
          ever.add(`${after.vm_id} ${after.destination_host_id} ${after.epoch}`);
        }
      return undefined;
    },
    onStep: () =>
      first(scene.hosts, (host) => {
        const held = host.heldDocument();
        if (held === null || seen.get(host.name) === held.hash) return undefined;
        seen.set(host.name, held.hash);
        const isNow = held.generation === scene.mirror.hosts.get(host.hostId)?.desired_generation;
        return first(held.vms, ({ vmId, ownerEpoch }) => {
          const row = scene.mirror.vms.get(vmId);
          if (!ever.has(`${vmId} ${host.hostId} ${ownerEpoch}`) && !isLostVm(scene, vmId))
            return `${host.name} is told of VM ${vmId} in epoch ${ownerEpoch}, which was never its own`;
          return isNow &&
            row !== undefined &&
            !mayHave(scene, row).some(([id, epoch]) => id === host.hostId && epoch === ownerEpoch)
            ? `${host.name} is told of VM ${vmId}, which is another host's now`
            : undefined;
        });
      }),
  };
};
