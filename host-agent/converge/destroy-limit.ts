import { z } from "zod";
import type { Clock } from "#core/ports.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

const FILE = "destroys.json";
const HOUR_MS = 3_600_000;
const Destroys = z.array(z.object({ vmId: z.uuid(), at: z.iso.datetime() }));

/** At most so many VMs are destroyed an hour, restarts included: a control plane gone wrong is stopped by its hosts. */
export interface DestroyLimit {
  load(): Promise<void>;
  /** Counts the VM, once however often it is tried, or throws `destroy_limit`. */
  admit(vmId: string): Promise<void>;
}

export function createDestroyLimit(ports: {
  store: StateStore;
  clock: Clock;
  /** Asked each time: staff may raise it while the agent runs. */
  perHour: () => number;
}): DestroyLimit {
  const { store, clock, perHour } = ports;
  let destroys: z.infer<typeof Destroys> = [];
  let turn: Promise<void> = Promise.resolve();

  async function admitNext(vmId: string): Promise<void> {
    const now = clock.now();
    const recent = destroys.filter(({ at }) => now.getTime() - Date.parse(at) < HOUR_MS);
    if (recent.some((other) => other.vmId === vmId)) return;
    const most = perHour();
    if (recent.length >= most)
      throw new DriverError(
        "destroy_limit",
        `this host destroys no more than ${most} VMs an hour: staff may raise the limit`,
      );
    const counted = [...recent, { vmId, at: now.toISOString() }];
    await save(store, FILE, counted);
    destroys = counted;
  }

  return {
    async load() {
      destroys = (await loadSaved(store, FILE, Destroys)) ?? [];
    },
    admit(vmId) {
      const mine = turn.catch(() => undefined).then(() => admitNext(vmId));
      turn = mine;
      return mine;
    },
  };
}
