import type { ObservedVm } from "#core/contracts/agent/report.ts";
import type { Clock } from "#core/ports.ts";
import { DriverError, type VmDriver } from "#host-agent/drivers/driver.ts";
import { within } from "#host-agent/time-limit.ts";

/** One look at the whole host. Looks are numbered in the order in which they began. */
export type Look = Readonly<{
  number: number;
  at: Date;
  vms: ReadonlyMap<string, ObservedVm>;
}>;

/** Shares looks: however many VMs ask, one look is under way and at most one more waits. */
export interface Observer {
  /** A look that begins after this call. Throws what the driver throws. */
  look(): Promise<Look>;
  /** The number of the look that began last; 0 before the first. */
  begun(): number;
  /** The last look that ended; null before the first. */
  latest(): Look | null;
}

const LOOK_LIMIT_MS = 60_000;

export function createObserver(ports: {
  driver: VmDriver;
  clock: Clock;
  signal: AbortSignal;
  /** Told of every look, before those who asked for it. */
  seen: (look: Look) => void;
}): Observer {
  const { driver, clock, signal, seen } = ports;
  let begun = 0;
  let latest: Look | null = null;
  let running: Promise<Look> | null = null;
  let next: Promise<Look> | null = null;

  async function lookOnce(number: number): Promise<Look> {
    const at = clock.now();
    const late = () => new DriverError("timed_out", "the hypervisor did not list its VMs in time");
    const vms = await within({ clock, ms: LOOK_LIMIT_MS, late, parent: signal }, (inner) =>
      driver.list(inner),
    );
    const look = { number, at, vms: new Map(vms.map((vm) => [vm.vmId, vm])) };
    latest = look;
    seen(look);
    return look;
  }

  function begin(): Promise<Look> {
    begun += 1;
    const look = lookOnce(begun).finally(() => {
      running = null;
    });
    running = look;
    return look;
  }

  return {
    look() {
      if (running === null) return begin();
      // The one that runs may have looked already at what its asker has changed since.
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = null;
          return running ?? begin();
        });
      return next;
    },
    begun: () => begun,
    latest: () => latest,
  };
}
