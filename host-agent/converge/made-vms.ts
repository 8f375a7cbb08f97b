import { z } from "zod";
import type { Log } from "#core/ports.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

const FILE = "made-1.json";
const Made = z.array(z.uuid());

/**
 * VMs that were whole here while the document in hand still has them made. Its control plane may be away, or not know
 * yet: one that then vanishes is not made again from that document, by this agent or by the next.
 */
export interface MadeVms {
  load(): Promise<void>;
  has(vmId: string): boolean;
  /** It is whole. What cannot be written down holds for this life of the agent: a full disk stops no VM. */
  note(vmId: string): Promise<void>;
}

export function createMadeVms(ports: {
  store: StateStore;
  log: Log;
  /** Whether the document in hand has it made: no other needs to be remembered. */
  mayBeMade: (vmId: string) => boolean;
}): MadeVms {
  const { store, log, mayBeMade } = ports;
  let made = new Set<string>();
  let saved: ReadonlySet<string> = new Set();
  // Writes follow one another: each holds all that was known when it began.
  let writing: Promise<void> = Promise.resolve();

  async function write(vmId: string): Promise<void> {
    if (saved.has(vmId)) return;
    made = new Set([...made].filter((id) => id === vmId || mayBeMade(id)));
    const now = new Set(made);
    await save(store, FILE, [...now]);
    saved = now;
  }

  return {
    async load() {
      made = new Set(await loadSaved(store, FILE, Made));
      saved = new Set(made);
    },
    has: (vmId) => made.has(vmId),
    async note(vmId) {
      made.add(vmId);
      if (saved.has(vmId)) return;
      writing = writing
        .then(() => write(vmId))
        .catch((error: unknown) =>
          log.error("made_vm_not_noted", { vm_id: vmId, error: String(error) }),
        );
      await writing;
    },
  };
}
