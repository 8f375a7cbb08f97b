import type { VmRecord } from "#host-agent/drivers/simulated/world.ts";
import { isLostVm, lostActionsOf, wasHeld, wasToGo } from "./lost-hour.ts";
import { isReplayNow } from "../network.ts";
import { whyPutAway } from "./moves.ts";
import { FOREIGN } from "../sim-world.ts";
import { first, isThere, machines, nowOf, runs, type MakeCheck, type Scene } from "./scene.ts";

const WEEK_MS = 7 * 24 * 3_600_000;
const GRACE_MS = 3 * 24 * 3_600_000;

/** 7. Data goes only when its VM was to go, and then after a week in the trash. */
export const dataIsKept: MakeCheck = (scene) => ({
  invariant: 7,
  onStep: () =>
    first(
      scene.hosts.flatMap((host) => [...host.world.disks.values()]),
      (disk) => {
        if (!disk.everStarted) return undefined;
        if (disk.serial.startsWith(FOREIGN) && disk.trashedAt !== null)
          return `the disk of ${disk.vmId}, which is not ours, was put in the trash`;
        if (disk.serial.startsWith(FOREIGN)) return undefined;
        // What somebody took away, or put into the trash by hand, nobody of ours did.
        if (scene.hosts.some((host) => host.world.takenByHand.has(disk.serial))) return undefined;
        const vm = scene.mirror.vms.get(disk.vmId);
        if (disk.trashedAt !== null && isMadeAnew(scene, disk.vmId)) return undefined;
        const { host, vmId, trashedAt } = disk;
        if (trashedAt !== null && wasHeld(scene, { host, vmId, trashedAt }))
          return `the disk of VM ${disk.vmId} was put in the trash in the day after a restore`;
        const isPutAway =
          disk.trashedAt !== null &&
          whyPutAway(scene, { host: disk.host, vmId: disk.vmId }) !== null;
        if (
          disk.trashedAt !== null &&
          !isPutAway &&
          vm?.presence !== "absent" &&
          !wasToGo(scene, disk.vmId)
        )
          return `the disk of VM ${disk.vmId} was put in the trash, and nobody asked`;
        if (disk.goneAt === null) return undefined;
        return disk.trashedAt !== null && disk.goneAt - disk.trashedAt >= WEEK_MS
          ? undefined
          : `the disk of VM ${disk.vmId} is gone before its time`;
      },
    ),
});

/** Whether staff ever asked for it: what was left of it goes into the trash then. */
const isMadeAnew = (scene: Scene, vmId: string): boolean =>
  actionsOf(scene, vmId).some(({ type }) => type === "recreate");

/** What was ever asked of the VM, also what the database knows no more. */
const actionsOf = (scene: Scene, vmId: string) => [
  ...scene.mirror.actions.all().filter((a) => a.vm_id === vmId),
  ...lostActionsOf(scene, vmId),
];

/** 13. One owner for an address, and a rest of a day before the next. */
export const addressesHaveOneOwner: MakeCheck = (scene) => ({
  invariant: 13,
  onCommit: () => {
    if (scene.mirror.leases.changed.length === 0) return undefined;
    const leases = scene.mirror.leases.all().map((l) => ({ ...l, from: lowerOf(l.during) }));
    return first(leases, (later) =>
      first(leases, (earlier) => {
        if (
          earlier.id === later.id ||
          earlier.address !== later.address ||
          earlier.from > later.from
        )
          return undefined;
        if (earlier.released_at === null) return `${later.address} has two owners`;
        const used = scene.mirror.vms.get(earlier.vm_id) !== undefined;
        return used && later.from < earlier.released_at + 24 * 3_600_000
          ? `${later.address} was leased anew ${later.from - earlier.released_at} ms after its release`
          : undefined;
      }),
    );
  },
  onStep: () => {
    const now = nowOf(scene);
    return first(machines(scene), ({ vm }) =>
      first(vm.definition?.macs ?? [], (mac) => {
        const last = scene.macs.get(mac);
        scene.macs.set(mac, { vmId: vm.vmId, seenAt: now });
        if (last === undefined || last.vmId === vm.vmId) return undefined;
        return now < last.seenAt + 24 * 3_600_000
          ? `VM ${vm.vmId} has the MAC that VM ${last.vmId} had ${now - last.seenAt} ms ago`
          : undefined;
      }),
    );
  },
});
const lowerOf = (range: string): number =>
  Date.parse(/^[[(]"?([^",]+)"?,/.exec(range)?.[1]?.replace(" ", "T").replace(/\+00$/, "Z") ?? "");

/** 14. No host is promised more than it has, in the books or in the machine. */
export const hostsAreNotOversold: MakeCheck = (scene) => ({
  invariant: 14,
  onCommit: () => {
    const { hosts, reservations } = scene.mirror;
    if (hosts.changed.length === 0 && reservations.changed.length === 0) return undefined;
    return first(hosts.all(), (host) => {
      const held = reservations
        .all()
        .filter((r) => r.host_id === host.id && r.released_at === null);
      const sum = (of: (r: (typeof held)[number]) => number) => held.reduce((n, r) => n + of(r), 0);
      const vcpus = sum((r) => r.vcpus);
      const memory = sum((r) => r.memory_mib);
      const disk = sum((r) => r.disk_gib);
      if (
        vcpus !== host.allocated_vcpus ||
        memory !== host.allocated_memory_mib ||
        disk !== host.allocated_disk_gib
      )
        return `host ${host.id} counts ${host.allocated_memory_mib} MiB as given away, and holds ${memory} MiB`;
      if (held.length !== host.allocated_vms)
        return `host ${host.id} counts ${host.allocated_vms} VMs, and holds places for ${held.length}`;
      return vcpus > host.capacity_vcpus ||
        memory > host.capacity_memory_mib ||
        disk > host.capacity_disk_gib ||
        held.length > host.capacity_vms
        ? `host ${host.id} has given away more than it has`
        : undefined;
    });
  },
  onStep: () =>
    first(scene.hosts, (host) => {
      const row = scene.mirror.hosts.get(host.hostId);
      // One that only its host knows has no place in the books until it is adopted.
      const memory = host.world
        .all()
        .filter(({ vmId }) => !isLostVm(scene, vmId))
        .reduce((n, vm) => n + vm.size.memoryMib, 0);
      return row && memory > row.capacity_memory_mib
        ? `${host.name} holds VMs of ${memory} MiB`
        : undefined;
    }),
});

/** 15. Generations only grow, and one generation has one content. */
export const generationsGrow: MakeCheck = (scene) => {
  const held = new Map<string, { generation: number; hash: string }>();
  return {
    invariant: 15,
    onCommit: () =>
      first(scene.mirror.vms.changed, ({ before, after }) => {
        if (before === null || after === null) return undefined;
        if (after.generation < before.generation || after.owner_epoch < before.owner_epoch)
          return `VM ${after.id} went back to generation ${after.generation}`;
        return after.observed_generation < before.observed_generation
          ? `VM ${after.id} was seen at generation ${after.observed_generation} after ${before.observed_generation}`
          : undefined;
      }) ??
      first(scene.mirror.hosts.changed, ({ before, after }) =>
        before !== null && after !== null && after.desired_generation < before.desired_generation
          ? `host ${after.id} went back to generation ${after.desired_generation}`
          : undefined,
      ),
    onStep: () =>
      first(scene.hosts, (host) => {
        const now = host.heldDocument();
        const before = held.get(host.name);
        if (
          now === null ||
          (before && now.generation === before.generation && now.hash === before.hash)
        )
          return undefined;
        held.set(host.name, now);
        if (before && now.generation < before.generation)
          return `${host.name} took generation ${now.generation} after ${before.generation}`;
        return before && now.generation === before.generation
          ? `${host.name} took two contents of generation ${now.generation}`
          : undefined;
      }),
    atRest: () =>
      first(scene.hosts, (host) => {
        const { generation } = host.heldDocument() ?? { generation: 0 };
        const row = scene.mirror.hosts.get(host.hostId);
        return row && generation > row.desired_generation
          ? `${host.name} holds generation ${generation}, and is at ${row.desired_generation}: it takes nothing more`
          : undefined;
      }),
  };
};

/** 16. However often its agent dies, a host comes to what is desired, and makes each VM once. */
export const agentsConverge: MakeCheck = (scene) => ({
  invariant: 16,
  onStep: () =>
    first(machines(scene), ({ host, vm }) => {
      const others = [...host.world.disks.values()].filter(
        (d) =>
          d.vmId === vm.vmId &&
          !d.serial.startsWith(FOREIGN) &&
          d.serial !== vm.disk?.serial &&
          d.everStarted &&
          d.trashedAt === null &&
          !(d.goneAt !== null && isMadeAnew(scene, vm.vmId)),
      );
      if (others.length > 0)
        return `VM ${vm.vmId} has a new disk in the place of one that was in use`;
      const asked = actionsOf(scene, vm.vmId)
        .filter((a) => a.type === "reboot" || a.type === "reset")
        // What is said to be cancelled was begun by nobody.
        .filter((a) => a.error_code !== "cancelled");
      const begun = host.world.oneShots.get(vm.vmId) ?? 0;
      return begun > asked.length
        ? `VM ${vm.vmId} was rebooted ${begun} times for ${asked.length} actions`
        : undefined;
    }),
  atRest: () =>
    first(machines(scene), ({ host, vm }) => {
      const row = scene.mirror.vms.get(vm.vmId);
      if (isLostVm(scene, vm.vmId)) return unlisted(scene, vm.vmId);
      return row === undefined || row.deleted_at !== null || row.host_id !== host.hostId
        ? `${host.name} still has VM ${vm.vmId}`
        : undefined;
    }) ??
    first(scene.mirror.vms.all(), (row) => {
      if (row.deleted_at !== null) return undefined;
      if (row.presence === "absent") return `VM ${row.id} is to go, and is not gone`;
      const host = scene.hosts.find((h) => h.hostId === row.host_id);
      const vm = host?.world.get(row.id);
      const isWhole = isThere(vm);
      // Whether anybody brings it back is for staff to say; that it is lost, or is not any more, is told.
      if (isWhole !== (row.lost_at === null))
        return `VM ${row.id} ${isWhole ? "is there, and counts as lost" : "is not whole, and is not told as lost"}`;
      if (!vm || !isWhole) return undefined;
      const service = scene.mirror.services.get(row.id);
      const until = Math.max((service?.entitled_until ?? 0) + GRACE_MS, service?.warned_until ?? 0);
      const mayRun = nowOf(scene) <= until && service?.suspensions.length === 0;
      const wanted = row.desired_power === "running" && mayRun;
      const is = runs(vm, nowOf(scene)) && vm.run?.paused === false && !vm.run.failed;
      return is === wanted ? undefined : `VM ${row.id} ${wanted ? "does not run" : "runs"}`;
    }),
});

/** What only its host knows stays as it is, and staff are told of it. */
const unlisted = ({ mirror }: Scene, vmId: string): string | undefined =>
  mirror.findings
    .all()
    .some((f) => f.kind === "vm_unknown_after_restore" && f.subject === vmId && f.ended_at === null)
    ? undefined
    : `VM ${vmId} is known to its host alone, and nobody is told`;

/** A power cut may have stopped it; nothing else is as it was made any more if one of ours has been at it. */
const sameMachine = (vm: VmRecord | undefined, made: VmRecord): boolean =>
  vm !== undefined &&
  JSON.stringify({ ...vm, run: null }) === JSON.stringify({ ...made, run: null });

/** Now, or until a move released it from there: what was measured until then counts, however late it comes. */
const hasOwned = ({ mirror }: Scene, hostId: string, vmId: string): boolean =>
  mirror.vms.get(vmId)?.host_id === hostId ||
  mirror.moves
    .all()
    .some(
      (move) => move.vm_id === vmId && move.source_host_id === hostId && move.released_at !== null,
    );

/** 19. A host's word counts for its own VMs, in their epoch, once, and no further than what it was asked. */
export const hostsKeepToTheirOwn: MakeCheck = (scene) => ({
  invariant: 19,
  onStep: () =>
    first(scene.hosts, (host) =>
      first(host.world.foreign.values(), (made) =>
        sameMachine(host.world.get(made.vmId), made)
          ? undefined
          : `${host.name} has touched VM ${made.vmId}, which somebody made by hand`,
      ),
    ),
  onCommit: () =>
    first(isReplayNow() ? scene.mirror.vms.changed : [], ({ before, after }) =>
      before?.observed_power !== after?.observed_power
        ? `what is known of VM ${after?.id} was changed by a report that had counted before`
        : undefined,
    ) ??
    first(scene.mirror.vms.changed, ({ after }) => {
      if (after === null) return undefined;
      if (after.observed_generation > after.generation)
        return `VM ${after.id} was seen at a generation that nobody asked for`;
      // A copy of it may still be put away elsewhere, by the move that left it there.
      return after.deleted_at !== null &&
        [...machines(scene)].some((m) => m.vm.vmId === after.id && m.host.hostId === after.host_id)
        ? `VM ${after.id} counts as gone, and its host has it`
        : undefined;
    }) ??
    first(scene.mirror.actions.changed, ({ before, after }) => {
      if (before?.status !== "running" || after === null || after.status === "running")
        return undefined;
      const hostId = scene.mirror.vms.get(after.vm_id)?.host_id;
      return first(scene.mirror.audit.changed, ({ after: by }) =>
        by?.actor_kind === "agent" && by.actor_id !== hostId
          ? `action ${after.id} was ended by a host that does not have its VM`
          : undefined,
      );
    }) ??
    first(scene.mirror.samples.changed, ({ after }) =>
      after !== null &&
      !scene.hosts.some(
        (h) => hasOwned(scene, h.hostId, after.vm_id) && h.world.runs.has(after.boot_epoch),
      )
        ? `usage of VM ${after.vm_id} was taken from a host that does not have it`
        : undefined,
    ) ??
    first(scene.mirror.vms.changed, ({ after }) =>
      after !== null && after.boot_epoch === "a-false-boot"
        ? `VM ${after.id} is as a lie has it`
        : undefined,
    ),
});
