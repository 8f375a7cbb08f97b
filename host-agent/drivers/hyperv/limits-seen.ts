import type { ObservedVm } from "#core/contracts/agent/report.ts";
import type { Clock } from "#core/ports.ts";
import type { VmLimits } from "#core/vms/seen-size.ts";

/** Somebody may change them by hand; the agent itself says so when it does. */
const STALE_MS = 60_000;

/**
 * What VMs are limited to. Hyper-V answers that adapter by adapter and disk by disk, which would make every look as long as
 * the host has VMs: it is asked for a VM that is new, after each change of ours, and else once a minute.
 */
export function createSeenLimits(ports: {
  clock: Clock;
  ask: (signal?: AbortSignal) => Promise<ReadonlyMap<string, VmLimits>>;
}) {
  let known: ReadonlyMap<string, VmLimits> = new Map();
  let askedAt: number | null = null;
  return {
    /** A change of ours has begun, or ended. */
    forget: () => {
      askedAt = null;
    },
    /** Those that are not seen any more, or not yet, are left without. */
    async addTo(vms: readonly ObservedVm[], signal?: AbortSignal): Promise<ObservedVm[]> {
      const now = ports.clock.now().getTime();
      const isStale = askedAt === null || now - askedAt >= STALE_MS;
      if (isStale || vms.some(({ vmId, complete }) => complete && !known.has(vmId))) {
        askedAt = now;
        known = await ports.ask(signal);
      }
      return vms.map((vm) => {
        const limits = known.get(vm.vmId);
        return limits === undefined ? vm : { ...vm, limits };
      });
    },
  };
}
