import { z } from "zod";
import { Sha256 } from "#core/contracts/values.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

const FOLDER = "moves";
const Note = z.object({
  /** The file of the export is whole, and on the disk. */
  exported: z.boolean(),
  /** The file that both ends have agreed on; null: they have not yet. The destination's own may be taken since. */
  moved: z.object({ bytes: z.int().nonnegative(), sha256: Sha256 }).nullable(),
});
type Note = z.infer<typeof Note>;

const NOTHING: Note = { exported: false, moved: null };

/** How far a copy had come, for an agent that begins anew in its midst. By attempts (`attemptOf`). */
export interface MoveNotes {
  read(attempt: string): Promise<Note>;
  write(attempt: string, note: Note): Promise<void>;
  remove(attempt: string): Promise<void>;
  list(): Promise<readonly string[]>;
}

export function createMoveNotes(store: StateStore): MoveNotes {
  const nameOf = (attempt: string) => `${FOLDER}/${attempt}.json`;
  return {
    read: async (attempt) => (await loadSaved(store, nameOf(attempt), Note)) ?? NOTHING,
    write: (attempt, note) => save(store, nameOf(attempt), note),
    remove: (attempt) => store.remove(nameOf(attempt)),
    list: async () => (await store.list(FOLDER)).map((name) => name.replace(/\.json$/, "")),
  };
}
