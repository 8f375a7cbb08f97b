import { z } from "zod";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { Log } from "#core/ports.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

/** VMs by their ids; and, in a file that agents of before leave alone, those of a repair by what it was asked with. */
const FILES = { made: "made-1.json", remade: "remade-1.json" } as const;
const Keys = z.array(z.string());

type Wanted = Pick<DesiredVm, "vmId" | "generation" | "mayCreate" | "repair">;

/**
 * VMs that were whole here while the document in hand still has them made, or made anew. Its control plane may be away, or not
 * know yet: one that then vanishes, or lacks a part, is not made again from that document, by this agent or by the next.
 */
export interface MadeVms {
  load(): Promise<void>;
  /** What is wanted of the VM, without making it where that is done. */
  withoutMaking(wanted: DesiredVm): DesiredVm;
  /** It is whole. What cannot be written down holds for this life of the agent: a full disk stops no VM. */
  note(wanted: DesiredVm): Promise<void>;
}

/** Of one repair: a later one has a later generation. */
const repairOf = ({ vmId, generation }: Wanted): string => `${vmId}/${generation}`;

export function createMadeVms(ports: {
  store: StateStore;
  log: Log;
  /** The document in hand: what it does not have made, or made anew, needs not to be remembered. */
  wanted: () => readonly Wanted[];
}): MadeVms {
  const { store, log, wanted } = ports;
  const made = createNotes(FILES.made, { store, log }, () =>
    wanted().flatMap((vm) => (vm.mayCreate ? [vm.vmId] : [])),
  );
  const remade = createNotes(FILES.remade, { store, log }, () =>
    wanted().flatMap((vm) => (vm.repair === "recreate" ? [repairOf(vm)] : [])),
  );
  return {
    load: async () => {
      await made.load();
      await remade.load();
    },
    withoutMaking: (vm) => {
      const { repair, ...unrepaired } = vm;
      const rest = repair === "recreate" && remade.has(repairOf(vm)) ? unrepaired : vm;
      return rest.mayCreate && made.has(vm.vmId) ? { ...rest, mayCreate: false } : rest;
    },
    note: async (vm) => {
      if (vm.mayCreate) await made.note(vm.vmId, vm.vmId);
      if (vm.repair === "recreate") await remade.note(repairOf(vm), vm.vmId);
    },
  };
}

/** Names that are kept over the agent's life, each for as long as `kept` still has it. */
function createNotes(
  file: string,
  { store, log }: { store: StateStore; log: Log },
  kept: () => readonly string[],
) {
  let made = new Set<string>();
  let saved: ReadonlySet<string> = new Set();
  // Writes follow one another: each holds all that was known when it began.
  let writing: Promise<void> = Promise.resolve();

  async function write(key: string): Promise<void> {
    if (saved.has(key)) return;
    const still = new Set(kept());
    made = new Set([...made].filter((each) => each === key || still.has(each)));
    const now = new Set(made);
    await save(store, file, [...now]);
    saved = now;
  }

  return {
    async load(): Promise<void> {
      made = new Set(await loadSaved(store, file, Keys));
      saved = new Set(made);
    },
    has: (key: string) => made.has(key),
    async note(key: string, vmId: string) {
      made.add(key);
      if (saved.has(key)) return;
      writing = writing
        .then(() => write(key))
        .catch((error: unknown) =>
          log.error("made_vm_not_noted", { vm_id: vmId, error: String(error) }),
        );
      await writing;
    },
  };
}
