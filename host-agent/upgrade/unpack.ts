import { createReadStream } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import path from "node:path";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { createTarDecoder } from "modern-tar";
import { isFull } from "#host-agent/disk-full.ts";
import { flushFolder } from "./release-home.ts";
import { UpgradeError } from "./upgrade-error.ts";

/** A release is a flat folder of a few files. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const MOST_FILES = 50;
/** Ours are 130 MB; what packs to little and unpacks to much ends here. */
const MOST_UNPACKED = 600_000_000;

/**
 * Unpacks a `.tar.gz` into `folder`, which is made anew: plain files with plain names and nothing else, so that nothing in it can
 * lead out of the folder. Throws `UpgradeError`.
 */
export async function unpack(archive: string, folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const decoder = createTarDecoder({ strict: true });
  const ending = new AbortController();
  const reading = pipeline(
    createReadStream(archive),
    createGunzip(),
    Writable.fromWeb(decoder.writable),
    {
      signal: ending.signal,
    },
  );
  // What fails there fails the loop below.
  reading.catch(() => undefined);
  const names = new Set<string>();
  let left = MOST_UNPACKED;
  try {
    for await (const { header, body } of decoder.readable) {
      const { name, type = "file", size } = header;
      if (type !== "file" || !NAME.test(name) || names.has(name))
        throw bad(`it holds what is no plain file of its own name: ${name.slice(0, 100)}`);
      left -= size;
      if (left < 0 || names.add(name).size > MOST_FILES) throw bad("it holds too much");
      await writeOut(path.join(folder, name), ((header.mode ?? 0) & 0o111) !== 0, body);
    }
    await reading;
    await flushFolder(folder);
  } catch (cause) {
    if (cause instanceof UpgradeError) throw cause;
    if (isFull(cause)) throw new UpgradeError("no_room", "the disk is full", { cause });
    throw bad(String(cause), cause);
  } finally {
    ending.abort();
    await reading.catch(() => undefined);
  }
}

const bad = (why: string, cause?: unknown): UpgradeError =>
  new UpgradeError("bad_archive", `the release cannot be unpacked: ${why}`, { cause });

async function writeOut(file: string, isProgram: boolean, body: ReadableStream<Uint8Array>) {
  // `wx`: what is there already, a link above all, is not written through.
  const handle = await open(file, "wx", isProgram ? 0o755 : 0o644);
  try {
    for await (const chunk of body) await handle.write(chunk);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
