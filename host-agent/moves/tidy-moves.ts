import path from "node:path";
import type { Log } from "#core/ports.ts";
import type { ReadDocument } from "#host-agent/converge/read-document.ts";
import type { VmDriver } from "#host-agent/drivers/driver.ts";
import { attemptIn, attemptOf, type MoveFolder } from "./move-files.ts";
import type { MoveNotes } from "./move-notes.ts";
import type { MoveWorker } from "./move-worker.ts";

/** Removes files and notes of attempts that no document has at their copy any more: there, and only there, they are for something. */
export interface Tidier {
  /** By what is wanted now. Nothing is looked at when it is what it was. */
  by(document: ReadDocument): void;
  /** Something has ended, and may have left something. */
  again(): void;
  idle(): Promise<void>;
}

export function createTidier(ports: {
  driver: Pick<VmDriver, "moves">;
  folder: MoveFolder;
  notes: MoveNotes;
  workers: ReadonlyMap<string, Pick<MoveWorker, "part" | "isWorking">>;
  log: Log;
  signal: AbortSignal;
}): Tidier {
  const { driver, folder, notes, workers, log, signal } = ports;
  let document: ReadDocument | null = null;
  let isDue = false;
  let working: Promise<void> | null = null;

  /** Asked before each removal: what was named meanwhile has begun to write. */
  function isKept(attempt: string): boolean {
    if (document === null || document.nameless > 0) return true;
    // What is wanted of a VM that cannot be read is not known.
    if (document.refused.some(({ vmId }) => attempt.startsWith(vmId))) return true;
    for (const [vmId, worker] of workers) {
      if (!attempt.startsWith(vmId)) continue;
      const part = worker.part();
      const isNamed = part?.move.step === "copy" && attemptOf(part) === attempt;
      const isLeft = part?.move.step !== "copy" && worker.isWorking();
      if (isNamed || isLeft) return true;
    }
    return false;
  }

  async function tidy(): Promise<void> {
    const { moves } = driver;
    if (moves === null) return;
    for (const name of await folder.list(moves.folder)) {
      const attempt = attemptIn(name);
      if (attempt === null || isKept(attempt)) continue;
      await folder.remove(path.join(moves.folder, name));
      log.info("move_file_removed", { file: name });
    }
    for (const attempt of await notes.list()) if (!isKept(attempt)) await notes.remove(attempt);
  }

  async function work(): Promise<void> {
    while (isDue && !signal.aborted) {
      isDue = false;
      try {
        await tidy();
      } catch (error) {
        // With the next document, or when the next step ends.
        log.error("moves_not_tidied", { error: String(error) });
      }
    }
    working = null;
  }

  function again(): void {
    if (document === null) return;
    isDue = true;
    working ??= work();
  }

  return {
    by(next) {
      if (next === document) return;
      document = next;
      again();
    },
    again,
    idle: async () => void (await working),
  };
}
