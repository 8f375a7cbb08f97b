import { first, machines, nowOf, runs, type MakeCheck } from "./scene.ts";

const GRACE_MS = 3 * 24 * 3_600_000;
/** Between two resyncs of an agent at the most (its interval and a tenth), and what a stop takes from then on. */
const RECONCILE_MS = 300_000 * 1.1;
const STOP_MS = 90_000 + 30_000;

/**
 * 6. An unpaid VM stops after its grace, its host's reboots and our outages included. Counted is time in which its
 * agent lives and its hypervisor answers: without them nobody can stop anything.
 */
export const unpaidStops: MakeCheck = (scene) => {
  const paidUntil = new Map<string, number>();
  return {
    invariant: 6,
    onCommit: () => {
      for (const { after } of scene.mirror.entitlements.changed)
        if (after)
          paidUntil.set(after.vm_id, Math.max(after.until, paidUntil.get(after.vm_id) ?? 0));
      return undefined;
    },
    onStep: () =>
      first(machines(scene), ({ host, vm }) => {
        const until = paidUntil.get(vm.vmId);
        const now = nowOf(scene);
        if (until === undefined || !runs(vm, now) || host.upSince === null) return undefined;
        const since = Math.max(until + GRACE_MS, host.upSince, vm.run?.startedAt ?? 0);
        return now > since + RECONCILE_MS + STOP_MS
          ? `VM ${vm.vmId} runs ${Math.round((now - until) / 3_600_000)} h past what is paid`
          : undefined;
      }),
  };
};

/** 10. A VM's usage has no gap and no overlap, ends by now, and begins before the VM was gone. */
export const usageIsWhole: MakeCheck = (scene) => ({
  invariant: 10,
  onCommit: () =>
    first(scene.mirror.samples.changed, ({ after }) => {
      if (after === null) return "a usage sample was removed";
      const vm = scene.mirror.vms.get(after.vm_id);
      if (after.to_at > after.received_at + 60_000)
        return `usage of VM ${after.vm_id} ends in the future`;
      return vm && vm.deleted_at !== null && after.from_at >= vm.deleted_at
        ? `usage of VM ${after.vm_id} begins after it is gone`
        : undefined;
    }),
  atRest: () =>
    first(scene.mirror.vms.all(), (vm) => {
      const samples = scene.mirror.samples
        .all()
        .filter((s) => s.vm_id === vm.id)
        .toSorted((a, b) => a.from_at - b.from_at);
      return first(samples.slice(1).entries(), ([n, later]) => {
        const earlier = samples[n];
        if (!earlier || earlier.to_at === later.from_at) return undefined;
        const what = earlier.to_at < later.from_at ? "a gap" : "an overlap";
        return `usage of VM ${vm.id} has ${what} at ${new Date(later.from_at).toISOString()}`;
      });
    }),
});

/** 11. Each byte is counted once: what is stored of a boot epoch is what its counters had come to. */
export const bytesCountOnce: MakeCheck = (scene) => ({
  invariant: 11,
  atRest: () => {
    const epochs = new Map<
      string,
      { vmId: string; sum: bigint; until: number; bounded: boolean }
    >();
    for (const s of scene.mirror.samples.all()) {
      const epoch = epochs.get(s.boot_epoch) ?? {
        vmId: s.vm_id,
        sum: 0n,
        until: 0,
        bounded: false,
      };
      epochs.set(s.boot_epoch, {
        vmId: s.vm_id,
        sum: epoch.sum + s.tx_bytes,
        until: Math.max(epoch.until, s.to_at),
        bounded: epoch.bounded || s.bounded,
      });
    }
    const runsOf = new Map(scene.hosts.flatMap((h) => [...h.world.runs]));
    return first(epochs, ([bootEpoch, { vmId, sum, until, bounded }]) => {
      const run = runsOf.get(bootEpoch);
      if (run === undefined) return `usage of VM ${vmId} is of a boot that never was`;
      const is = run.sentBy(until);
      return sum === is || bounded
        ? undefined
        : `VM ${vmId} sent ${is} bytes in a boot, and ${sum} were counted`;
    });
  },
});
