import { z } from "zod";
import type { ActionReport } from "#core/contracts/agent/report.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

const FILE = "actions.json";
const Entry = z.object({
  vmId: z.uuid(),
  /** null: begun, and nobody knows how it ended. */
  report: z
    .object({
      actionId: z.uuid(),
      vmId: z.uuid(),
      outcome: z.enum(["success", "error"]),
      error: z.custom<NonNullable<ActionReport["error"]>>().nullable(),
    })
    .nullable(),
});
type Entry = z.infer<typeof Entry>;
const Journal = z.record(z.uuid(), Entry);
type Journal = z.infer<typeof Journal>;

/** One-shot work by its id: written down before it is begun, so that no crash makes it happen twice. */
export interface ActionJournal {
  load(): Promise<void>;
  /** `new`: never begun. `lost`: begun by an agent that died before it knew the outcome. */
  state(actionId: string): "new" | "under_way" | "lost" | ActionReport;
  begin(actionId: string, vmId: string): Promise<void>;
  finish(report: ActionReport): Promise<void>;
  /** Forgets actions that the control plane asks for no longer. */
  keepOnly(wanted: (actionId: string, vmId: string) => boolean): Promise<void>;
}

export function createActionJournal(store: StateStore): ActionJournal {
  let journal: Journal = {};
  const mine = new Set<string>();
  // Writes follow one another: each holds all that was known when it began.
  let writing: Promise<void> = Promise.resolve();
  const write = (change: (journal: Journal) => Journal) => {
    writing = writing
      .catch(() => undefined)
      .then(async () => {
        const changed = change(journal);
        await save(store, FILE, changed);
        journal = changed;
      });
    return writing;
  };

  return {
    async load() {
      journal = (await loadSaved(store, FILE, Journal)) ?? {};
    },
    state(actionId) {
      const entry = journal[actionId];
      if (entry === undefined) return "new";
      return entry.report ?? (mine.has(actionId) ? "under_way" : "lost");
    },
    async begin(actionId, vmId) {
      mine.add(actionId);
      await write((was) => ({ ...was, [actionId]: { vmId, report: null } }));
    },
    finish: (report) =>
      write((was) => ({ ...was, [report.actionId]: { vmId: report.vmId, report } })),
    async keepOnly(wanted) {
      const stays = ([id, entry]: [string, Entry]) =>
        wanted(id, entry.vmId) || (entry.report === null && mine.has(id));
      if (!Object.entries(journal).every(stays))
        await write((was) => Object.fromEntries(Object.entries(was).filter(stays)));
    },
  };
}
