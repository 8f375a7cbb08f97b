import { constants, type Stats } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import type { Hash } from "node:crypto";
import type { Clock } from "#core/ports.ts";
import { BLOCK_BYTES } from "./disk-frames.ts";
import { MoveStreamError } from "./stream-error.ts";

/** Windows knows neither. */
const NO_LINK = "O_NOFOLLOW" in constants ? constants.O_NOFOLLOW | constants.O_NONBLOCK : 0;

/**
 * A file of a move's own: made, readable by its owner alone, when it is to be written and is not there. Throws `not_a_file` for
 * a link, a device, or a file that has another name as well, and what opening throws.
 */
export async function openMoved(path: string, mode: "read" | "write"): Promise<FileHandle> {
  const access = mode === "read" ? constants.O_RDONLY : constants.O_RDWR | constants.O_CREAT;
  const file = await open(path, access | NO_LINK, 0o600).catch((cause: unknown) => {
    if (cause instanceof Error && "code" in cause && cause.code === "ELOOP")
      throw new MoveStreamError("not_a_file", `${path} is a link`, { cause });
    throw cause;
  });
  try {
    const found = await file.stat();
    if (!found.isFile() || (mode === "write" && found.nlink !== 1))
      throw new MoveStreamError("not_a_file", `${path} is ${whatIs(found)}`);
    if (mode === "write") await file.chmod(0o600);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

const whatIs = (found: Stats): string =>
  found.isFile() ? `a file of ${found.nlink} names` : "no plain file";

/** Fills `into` from there. Throws `file_changed` when the file ends before. */
export async function readWhole(file: FileHandle, into: Buffer, from: number): Promise<void> {
  for (let at = 0; at < into.length;) {
    const { bytesRead } = await file.read(into, at, into.length - at, from + at);
    if (bytesRead === 0)
      throw new MoveStreamError("file_changed", `it ends before ${from + into.length}`);
    at += bytesRead;
  }
}

export async function writeWhole(file: FileHandle, bytes: Buffer, to: number): Promise<void> {
  for (let at = 0; at < bytes.length;)
    at += (await file.write(bytes, at, bytes.length - at, to + at)).bytesWritten;
}

const ZEROS = Buffer.alloc(BLOCK_BYTES);
/** Hashing them takes a processor all the while, and others must have their turn. */
const TURN_EVERY = 32 * BLOCK_BYTES;

/** As if there had been zeros from here to there. */
export async function hashZeros(
  hash: Hash,
  from: number,
  to: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  for (let at = from; at < to;) {
    const end = Math.min(to, at + BLOCK_BYTES);
    hash.update(ZEROS.subarray(0, end - at));
    if (Math.floor(end / TURN_EVERY) > Math.floor(at / TURN_EVERY)) await clock.sleep(0, signal);
    at = end;
  }
}

/** A hole smaller than that is sent: what a qcow2 image is allotted by. */
const GRAIN_BYTES = 64 * 1024;

/** Where something else than zeros is: runs of grains, each from where to where. */
export function dataRuns(block: Buffer): readonly (readonly [number, number])[] {
  const runs: [number, number][] = [];
  for (let from = 0; from < block.length; from += GRAIN_BYTES) {
    const to = Math.min(block.length, from + GRAIN_BYTES);
    if (block.compare(ZEROS, 0, to - from, from, to) === 0) continue;
    const last = runs.at(-1);
    if (last?.[1] === from) last[1] = to;
    else runs.push([from, to]);
  }
  return runs;
}
