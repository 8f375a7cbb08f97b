import { z } from "zod";
import type { Log } from "#core/ports.ts";
import { loadSaved, save } from "./saved.ts";
import type { StateStore } from "./state-store.ts";

/** With the host that it was told to: one that is enrolled elsewhere has another id, and another Berth. */
const Saved = z.object({ hostId: z.uuid(), installation: z.uuid() });
const FILE = "installation.json";

/**
 * Which Berth this host belongs to, as its control plane said once. It is never changed for another: every VM of the host would
 * look like somebody else's.
 */
export interface Installation {
  /** Throws `CorruptState`. */
  load(): Promise<void>;
  /** null: not told yet. */
  current(): string | null;
  /** undefined: an older control plane, which has no id. Never throws. */
  told(installation: string | undefined): Promise<void>;
}

export function createInstallation(ports: {
  hostId: string;
  store: StateStore;
  log: Log;
}): Installation {
  const { hostId, store, log } = ports;
  let held: string | null = null;
  return {
    async load() {
      const saved = await loadSaved(store, FILE, Saved);
      held = saved?.hostId === hostId ? saved.installation : null;
    },
    current: () => held,
    async told(installation) {
      if (installation === undefined || installation === held) return;
      if (held !== null) {
        log.error("installation_differs", { held, told: installation });
        return;
      }
      try {
        await save(store, FILE, { hostId, installation });
        held = installation;
      } catch (error) {
        // Told again with the next session.
        log.error("installation_not_saved", { error: String(error) });
      }
    },
  };
}
