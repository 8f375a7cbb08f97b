import type { SimHost } from "../host.ts";
import type { Row } from "../mirror.ts";
import { isLostVm } from "./lost-hour.ts";
import { first, type MakeCheck, type Scene } from "./scene.ts";

/*
 * Hosts that are emptied, and those that somebody is at (docs/adr/0055, 0058). No invariant has a number for a drain: what it is to keep is
 * looked at with what moves are to keep.
 */

const hostOf = ({ hosts }: Scene, hostId: string): SimHost | undefined =>
  hosts.find((host) => host.hostId === hostId);

const OPEN: ReadonlySet<string> = new Set(["waiting", "moving"]);

const rowsOf = ({ mirror }: Scene, drainId: string): readonly Row<"drain_vms">[] =>
  mirror.drainVms.all().filter((row) => row.drain_id === drainId);

/** What is on a host by its row, and is to stay. */
const vmsOn = ({ mirror }: Scene, hostId: string): readonly Row<"vms">[] =>
  mirror.vms
    .all()
    .filter((vm) => vm.host_id === hostId && vm.presence === "present" && vm.deleted_at === null);

/** Whether the last commit has begun the move by a drain's turn. */
const isByDrain = ({ mirror }: Scene, vmId: string | undefined): boolean =>
  mirror.audit.changed.some(
    ({ after }) =>
      after?.action === "vm.migrate" && after.subject_id === vmId && after.actor_id === "drain",
  );

/**
 * 24. A drain moves each VM at most once, no more at once than it was told, and none once its host is something else. What has ended in it
 * stays so. It ends with an empty host, or with a reason for each VM that stays; and in the end every one has ended.
 */
export const drainsEnd: MakeCheck = (scene) => {
  /** By drain and VM, the move that was begun. */
  const begun = new Map<string, string>();
  return {
    invariant: 24,
    onCommit: () =>
      first(scene.mirror.drainVms.changed, ({ before, after }) => {
        if (after === null) return "what became of a VM in a drain was removed";
        const isOver = before !== null && !OPEN.has(before.state);
        if (isOver && before.state !== after.state)
          return `VM ${after.vm_id} was ${before.state} in its drain, and is ${after.state}`;
        if (after.state === "stays" && after.reason === null)
          return `VM ${after.vm_id} stays, and nothing says why`;
        const { max_parallel: most = 0 } = scene.mirror.drains.get(after.drain_id) ?? {};
        const moving = rowsOf(scene, after.drain_id).filter(({ state }) => state === "moving");
        return moving.length > most
          ? `${moving.length} VMs move in a drain of ${most} at once`
          : undefined;
      }) ??
      first(scene.mirror.moves.changed, ({ before, after }) => {
        if (before !== null || after === null || !isByDrain(scene, after.vm_id)) return undefined;
        const hostId = after.source_host_id;
        const drain = scene.mirror.drains
          .all()
          .find((each) => each.host_id === hostId && each.outcome === null);
        if (drain === undefined || scene.mirror.hosts.get(hostId)?.state !== "draining")
          return `VM ${after.vm_id} is moved by a drain, and its host is not drained any more`;
        const key = `${drain.id}/${after.vm_id}`;
        const earlier = begun.get(key);
        begun.set(key, after.id);
        // One that a restored database knows no more was not moved, as far as it goes.
        return earlier !== undefined && scene.mirror.moves.get(earlier) !== undefined
          ? `VM ${after.vm_id} is moved twice by one drain`
          : undefined;
      }) ??
      first(scene.mirror.drains.changed, ({ before, after }) =>
        after === null || after.outcome === null || before?.outcome === after.outcome
          ? undefined
          : wrongEnd(scene, after),
      ),
    atRest: () =>
      first(scene.mirror.drains.all(), (drain) =>
        drain.outcome === null
          ? `the drain of host ${drain.host_id} goes on: ${rowsOf(scene, drain.id)
              .map(({ state, reason }) => `${state} ${reason}`)
              .join(", ")}`
          : undefined,
      ) ??
      first(scene.mirror.hosts.all(), ({ id, state }) => {
        const last = scene.mirror.drains.all().findLast((each) => each.host_id === id);
        if (state !== "draining" || last === undefined) return undefined;
        const rows = rowsOf(scene, last.id);
        // What is told to go by now goes by itself.
        return first(vmsOn(scene, id), (vm) =>
          rows.some((row) => row.vm_id === vm.id && row.state === "stays")
            ? undefined
            : `host ${id} was emptied, and VM ${vm.id} is on it without a reason`,
        );
      }),
  };
};

/** Whether the host is as the drain's end says that it is. */
function wrongEnd(scene: Scene, drain: Row<"drains">): string | undefined {
  const rows = rowsOf(scene, drain.id);
  const open = rows.filter(({ state }) => OPEN.has(state));
  if (drain.outcome === "stopped")
    return open.some(({ state }) => state === "waiting")
      ? `a drain was stopped, and VM ${open[0]?.vm_id} waits for its turn in it`
      : undefined;
  if (open.length > 0)
    return `a drain is over, and VM ${open[0]?.vm_id} is ${open[0]?.state} in it`;
  const stay = rows.filter(({ state }) => state === "stays");
  if (drain.outcome === "empty" && stay.length > 0)
    return `a host counts as empty, and VM ${stay[0]?.vm_id} stays`;
  return first(vmsOn(scene, drain.host_id), (vm) =>
    stay.some(({ vm_id: vmId }) => vmId === vm.id)
      ? undefined
      : `a drain is over, and VM ${vm.id} is on its host without a reason`,
  );
}

/**
 * 14. A host that does not take VMs has no room for a new one, nor for one that grows: what is on it was there before. A retired one holds
 * nothing of ours, in truth.
 */
export const emptiedGetsNothing: MakeCheck = (scene) => ({
  invariant: 14,
  onCommit: () =>
    first(scene.mirror.reservations.changed, ({ before, after }) => {
      if (after === null || after.released_at !== null) return undefined;
      const { state } = scene.mirror.hosts.get(after.host_id) ?? {};
      if (state === undefined || state === "active") return undefined;
      // What lies there already is not new: a VM that is made anew, or adopted after a restore.
      const wasThere = !after.by_move && scene.mirror.vms.get(after.vm_id) !== undefined;
      if (before === null)
        return wasThere || scene.restores.length > 0
          ? undefined
          : `room for VM ${after.vm_id} is held on a host that is ${state}`;
      return after.vcpus > before.vcpus ||
        after.memory_mib > before.memory_mib ||
        after.disk_gib > before.disk_gib
        ? `VM ${after.vm_id} grows on a host that is ${state}`
        : undefined;
    }) ??
    first(scene.mirror.hosts.changed, ({ before, after }) => {
      if (after?.state !== "retired" || before?.state === "retired") return undefined;
      const host = hostOf(scene, after.id);
      const left = host?.world.all().find((vm) => vm.ownerEpoch !== null);
      return left && !isLostVm(scene, left.vmId)
        ? `${host?.name} is retired, and has VM ${left.vmId}`
        : undefined;
    }),
});

/** 20. Whoever is to be told of a maintenance is: what counts as mailed was, and in the end nobody waits for it. */
export const maintenanceIsTold: MakeCheck = (scene) => ({
  invariant: 20,
  onCommit: () =>
    first(scene.mirror.notices.changed, ({ before, after }) => {
      if (after?.mailed !== true || before?.mailed === true) return undefined;
      const about = scene.mirror.mails
        .all()
        .find(({ kind, cause }) => kind === "maintenance" && cause === after.id);
      return scene.mails.some(({ id }) => id === about?.id)
        ? undefined
        : `account ${after.account_id} counts as told of a maintenance, and got no mail`;
    }),
  atRest: () =>
    first(scene.mirror.notices.all(), (notice) =>
      notice.settled_at === null
        ? `account ${notice.account_id} was never told of a maintenance`
        : undefined,
    ) ??
    first(scene.mirror.windows.all(), (window) => {
      const isOver = window.ended_at !== null || window.cancelled_at !== null;
      const isDue = window.begun_at === null && window.starts_at < (scene.sim.rest.since ?? 0);
      return !isOver && isDue ? `the maintenance of host ${window.host_id} never began` : undefined;
    }),
});
