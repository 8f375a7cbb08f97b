import type { Counted } from "../sim-world.ts";
import type { Row } from "../mirror.ts";
import { isLostVm, lostSamples, wasLostVm } from "./lost-hour.ts";
import { suspendDaysOf } from "./trials.ts";
import { first, machines, nowOf, runs, type MakeCheck, type Scene } from "./scene.ts";

/**
 * As near as a host whose clock is off comes to our time: what it counts is given an instant so near to the true one.
 * What an agent counts before its first answer has the host's own time, which is off as it was when the agent began.
 */
const CORRECTED_MS = 6_000;
/** So long the samples themselves are kept, from where they begin: one of a host that slept may be days long. */
const KEPT_MS = 39 * 24 * 3_600_000;
const DAY_MS = 24 * 3_600_000;
/** Between two resyncs of an agent at the most (its interval and a tenth), and what a stop takes from then on. */
const RECONCILE_MS = 300_000 * 1.1;
const STOP_MS = 90_000 + 30_000;

/**
 * 6. An unpaid VM stops after its grace, its host's reboots and our outages included. Counted is time in which its
 * agent lives and its hypervisor answers: without them nobody can stop anything.
 */
export const unpaidStops: MakeCheck = (scene) => {
  const stopsAt = new Map<string, number>();
  return {
    invariant: 6,
    onCommit: () => {
      for (const { before, after } of scene.mirror.services.changed) {
        if (after === null) continue;
        const days = suspendDaysOf(scene, after.vm_id) * DAY_MS;
        // A reminder that came late lets it run as long as one in time.
        const isWarned = after.warned_until !== (before?.warned_until ?? null);
        const warned = isWarned ? Math.min(after.warned_until ?? 0, nowOf(scene) + days) : 0;
        const known = stopsAt.get(after.vm_id) ?? 0;
        stopsAt.set(after.vm_id, Math.max(after.entitled_until + days, warned, known));
      }
      return undefined;
    },
    onStep: () =>
      first(machines(scene), ({ host, vm }) => {
        const until = stopsAt.get(vm.vmId);
        const now = nowOf(scene);
        // Which only its host knows, and nobody has adopted yet: staff are told of it (16).
        if (isLostVm(scene, vm.vmId)) return undefined;
        if (until === undefined || !runs(vm, now) || host.upSince === null) return undefined;
        const since = Math.max(until, host.upSince, vm.run?.startedAt ?? 0);
        return now > since + RECONCILE_MS + STOP_MS
          ? `VM ${vm.vmId} runs ${Math.round((now - until) / 3_600_000)} h past its time`
          : undefined;
      }),
  };
};

/**
 * 6. What staff have suspended does not run for longer than a resync and a stop, however it is paid for, as long as nothing has gone
 * wrong yet in the run that an agent could notice (at rest 16 sees it in any case); and nobody but staff lifts it.
 */
export const suspendedStops: MakeCheck = (scene) => {
  const since = new Map<string, number>();
  return {
    invariant: 6,
    onCommit: () =>
      first(scene.mirror.services.changed, ({ before, after }) => {
        if (after === null) return undefined;
        if (after.suspensions.length === 0) since.delete(after.vm_id);
        else if (!since.has(after.vm_id)) since.set(after.vm_id, nowOf(scene));
        const isLifted = before?.suspensions.some((each) => !after.suspensions.includes(each));
        return isLifted === true && !byStaff(scene, "vm.unsuspend", after.vm_id)
          ? `VM ${after.vm_id} was suspended, and is lifted by nobody of staff`
          : undefined;
      }),
    onStep: () =>
      [...scene.sim.faults.counts.keys()].some((kind) => !LEAVES_AGENTS_ALONE.test(kind))
        ? undefined
        : first(machines(scene), ({ host, vm }) => {
            const at = since.get(vm.vmId);
            if (at === undefined || host.upSince === null || !runs(vm, nowOf(scene)))
              return undefined;
            return nowOf(scene) > Math.max(at, host.upSince) + RECONCILE_MS + STOP_MS
              ? `VM ${vm.vmId} is suspended, and runs`
              : undefined;
          }),
  };
};

/** A doorbell is but a doorbell: agents resync without. */
const LEAVES_AGENTS_ALONE = /^(queue|doorbell|webhook|payment|stripe)\./;

const byStaff = ({ mirror }: Scene, action: string, vmId: string): boolean =>
  mirror.audit.changed.some(
    ({ after }) =>
      after?.action === action && after.subject_id === vmId && after.actor_kind === "staff",
  );

/**
 * 10. A VM's usage has no gap and no overlap, ends by now, and begins before the VM was gone. In the end it reaches
 * from when the VM was first known to run (unless its agent was kept from its work then) to the present.
 */
export const usageIsWhole: MakeCheck = (scene) => {
  const firstRan = new Map<string, { at: number; wasLate: boolean }>();
  return {
    invariant: 10,
    onCommit: () => {
      for (const { after } of scene.mirror.vms.changed)
        if (after?.observed_power === "running" && !firstRan.has(after.id)) {
          const host = scene.hosts.find((h) => h.hostId === after.host_id);
          firstRan.set(after.id, { at: nowOf(scene), wasLate: host?.wasDisturbed !== false });
        }
      return first(scene.mirror.samples.changed, ({ before, after }) => {
        if (after === null)
          return before && before.from_at < nowOf(scene) - KEPT_MS
            ? undefined
            : "a usage sample was removed before its time";
        const vm = scene.mirror.vms.get(after.vm_id);
        if (after.to_at > after.received_at + 60_000)
          return `usage of VM ${after.vm_id} ends in the future`;
        return vm && vm.deleted_at !== null && after.from_at >= vm.deleted_at
          ? `usage of VM ${after.vm_id} begins after it is gone`
          : undefined;
      });
    },
    atRest: () => {
      const samplesOf = Map.groupBy(scene.mirror.samples.all(), (s) => s.vm_id);
      const lost = lostSamples(scene);
      /** Whether what is missing there was all told once, in hours that are lost. */
      const isLost = (vmId: string, from: number, to: number) => {
        let at = from;
        for (const s of lost
          .filter((each) => each.vm_id === vmId)
          .toSorted((a, b) => a.from_at - b.from_at))
          if (s.from_at <= at) at = Math.max(at, s.to_at);
        return at >= to;
      };
      return (
        first(samplesOf, ([vmId, unsorted]) => {
          const samples = unsorted.toSorted((a, b) => a.from_at - b.from_at);
          const ran = firstRan.get(vmId);
          const begin = samples[0];
          if (
            ran &&
            begin &&
            !ran.wasLate &&
            begin.from_at > ran.at &&
            // One that began before the oldest that is taken is cut to begin there, the first one too.
            !begin.bounded &&
            !isLost(vmId, ran.at, begin.from_at) &&
            !wasLostVm(scene, vmId)
          )
            return `usage of VM ${vmId} begins ${begin.from_at - ran.at} ms after it was seen running`;
          return first(samples.slice(1).entries(), ([n, later]) => {
            const earlier = samples[n];
            if (!earlier || earlier.to_at === later.from_at) return undefined;
            // A sample that began before the oldest that is taken is cut to begin there.
            const isCut = later.bounded || isForgotten(scene, vmId);
            if (isLost(vmId, earlier.to_at, later.from_at)) return undefined;
            if (isBetweenHosts(scene, vmId, earlier.to_at, later.from_at)) return undefined;
            if (earlier.to_at < later.from_at && isCut) return undefined;
            const what = earlier.to_at < later.from_at ? "a gap" : "an overlap";
            return `usage of VM ${vmId} has ${what} from ${new Date(earlier.to_at).toISOString()} to ${new Date(later.from_at).toISOString()}`;
          });
        }) ??
        first(machines(scene), ({ vm }) => {
          if (isLostVm(scene, vm.vmId)) return undefined;
          if (!runs(vm, nowOf(scene)) || vm.run === null || vm.run.offFrom !== null)
            return undefined;
          const ends = (samplesOf.get(vm.vmId) ?? []).map((s) => s.to_at);
          return Math.max(0, ...ends) >= (scene.sim.rest.since ?? Infinity)
            ? undefined
            : `VM ${vm.vmId} runs, and no usage of it reaches the present`;
        })
      );
    },
  };
};

/** What of a gap lies around a move: nobody measures a VM from its source's last look until it is seen at its destination. */
const isBetweenHosts = (
  { mirror, hosts }: Scene,
  vmId: string,
  from: number,
  to: number,
): boolean =>
  from < to &&
  mirror.moves.all().some(({ vm_id: id, released_at: at, source_host_id, destination_host_id }) => {
    const ends = hosts.filter(
      (h) => h.hostId === source_host_id || h.hostId === destination_host_id,
    );
    const slack = Math.max(...ends.map((h) => (h.clockWasSet ? CORRECTED_MS + h.bornOffMs : 0)));
    return id === vmId && at !== null && from - slack <= at && at <= to + slack;
  });

/** Whether a sample of it waited on its host until it was too old to be taken: then what it held is lost. */
const isForgotten = ({ hosts }: Scene, vmId: string): boolean =>
  hosts.some((host) => host.forgotten.has(vmId));

const METERS = ["cpuNs", "rxBytes", "txBytes", "readBytes", "writeBytes"] as const;
type Sums = Omit<Row<"usage_hours">, "vm_id" | "hour">;
const COLUMNS: Record<(typeof METERS)[number], (row: Sums) => bigint> = {
  cpuNs: (row) => row.cpu_ns,
  rxBytes: (row) => row.rx_bytes,
  txBytes: (row) => row.tx_bytes,
  readBytes: (row) => row.read_bytes,
  writeBytes: (row) => row.write_bytes,
};
const NOTHING: Counted = { cpuNs: 0n, rxBytes: 0n, txBytes: 0n, readBytes: 0n, writeBytes: 0n };

/**
 * 11. Each byte is counted once: what is stored of a boot epoch is what its counters had come to when its last sample
 * was taken, by the hypervisor's own record of its runs, and never more than they came to at all.
 */
export const bytesCountOnce: MakeCheck = (scene) => ({
  invariant: 11,
  onCommit: () =>
    first(scene.mirror.samples.changed, ({ before, after }) =>
      before !== null && after !== null
        ? `usage of VM ${after.vm_id} is stored twice under number ${after.seq} of a boot`
        : undefined,
    ),
  atRest: () => {
    const samplesOf = Map.groupBy(scene.mirror.samples.all(), (s) => s.boot_epoch);
    const runsOf = new Map(scene.hosts.flatMap((h) => [...h.world.runs]));
    const slackOf = new Map(
      scene.hosts.flatMap((h) =>
        [...h.world.runs.keys()].map((epoch) => [
          epoch,
          h.clockWasSet ? CORRECTED_MS + h.bornOffMs : 0,
        ]),
      ),
    );
    const lostOf = Map.groupBy(lostSamples(scene), (s) => s.boot_epoch);
    const hoursOf = Map.groupBy(scene.mirror.hours.all(), (h) => h.vm_id);
    return (
      first(
        Map.groupBy(scene.mirror.samples.all(), (s) => s.vm_id),
        ([vmId, samples]) =>
          first(METERS, (meter) => {
            const summed = sumOf(hoursOf.get(vmId) ?? [], COLUMNS[meter]);
            return summed === sumOf(samples, COLUMNS[meter])
              ? undefined
              : `the hours of VM ${vmId} come to ${summed} ${meter}, and its samples do not`;
          }),
      ) ??
      first(samplesOf, ([bootEpoch, [sample]]) =>
        runsOf.has(bootEpoch)
          ? undefined
          : `usage of VM ${sample?.vm_id} is of a boot that never was`,
      ) ??
      first(runsOf.values(), (run) => {
        const samples = samplesOf.get(run.bootEpoch) ?? [];
        if (samples.some((s) => s.bounded)) return undefined;
        const until = Math.max(run.startedAt, ...samples.map((s) => s.to_at));
        const slack = slackOf.get(run.bootEpoch) ?? 0;
        const least = samples.length === 0 ? NOTHING : run.countedBy(until - slack);
        const is = samples.length === 0 ? NOTHING : run.countedBy(until + slack);
        const most = run.countedBy(run.endedAt ?? nowOf(scene));
        return first(METERS, (meter) => {
          const counted = sumOf(samples, COLUMNS[meter]);
          // Of a boot of which something was lost, what is counted and what was lost come to it, and no more.
          const lost = sumOf(lostOf.get(run.bootEpoch) ?? [], COLUMNS[meter]);
          return counted <= most[meter] &&
            counted <= is[meter] &&
            (counted + lost >= least[meter] || isForgotten(scene, run.vmId))
            ? undefined
            : `VM ${run.vmId} came to ${is[meter]} ${meter} in a boot, and ${counted} were counted`;
        });
      })
    );
  },
});
const sumOf = <T>(all: readonly T[], of: (item: T) => bigint): bigint =>
  all.reduce((sum, item) => sum + of(item), 0n);
