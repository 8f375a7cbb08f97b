import { access, mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import type { DesiredMove } from "#core/contracts/agent/moves.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { freeBytes } from "#host-agent/images/free-bytes.ts";

export type MovingVm = DesiredVm & Readonly<{ move: DesiredMove }>;

/** As much of a file system as the files of moves need. */
export interface MoveFolder {
  /** The names in a folder; none where it is not there. */
  list(folder: string): Promise<readonly string[]>;
  has(file: string): Promise<boolean>;
  /** Succeeds when it is gone. */
  remove(file: string): Promise<void>;
  /** Makes the folder, where it is not there. */
  make(folder: string): Promise<void>;
  /** Of the volume that a folder lies on. */
  freeBytes(folder: string): Promise<number>;
}

export const realMoveFolder: MoveFolder = {
  list: (folder) => orIfMissing(() => readdir(folder), []),
  has: (file) =>
    orIfMissing(async () => {
      await access(file);
      return true;
    }, false),
  remove: (file) => rm(file, { force: true }),
  make: async (folder) => void (await mkdir(folder, { recursive: true, mode: 0o700 })),
  freeBytes,
};

async function orIfMissing<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return otherwise;
    throw error;
  }
}

/** One attempt at a move: a VM's epochs are drawn for one each, and never used again. */
export const attemptOf = ({ vmId, move }: MovingVm): string => `${vmId}-${move.epoch}`;

/** Where the disk of an attempt lies on its way. */
export const fileOf = (folder: string, vm: MovingVm): string =>
  path.join(folder, `move-${attemptOf(vm)}.${vm.move.role === "source" ? "out" : "in"}`);

/** With all that is written beside such a file. */
const OURS = /^move-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-\d{1,10})\.(?:in|out)(?:\..*)?$/;

/** Whose attempt's file it is; null: it is none of ours. */
export const attemptIn = (name: string): string | null => OURS.exec(name)?.[1] ?? null;
