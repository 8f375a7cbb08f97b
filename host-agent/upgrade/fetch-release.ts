import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { Clock } from "#core/ports.ts";
import { within } from "#host-agent/time-limit.ts";
import type { ReleaseFile } from "./manifest.ts";
import { isFull } from "./unpack.ts";
import { UpgradeError } from "./upgrade-error.ts";

export type FetchPorts = {
  clock: Clock;
  fetch: typeof fetch;
  signal?: AbortSignal | undefined;
};

const MOST_MANIFEST_BYTES = 64 * 1024;
const MANIFEST_LIMIT_MS = 30_000;
/** A server that sends nothing for so long has gone; the file is asked for from where it ended. */
const SILENCE_LIMIT_MS = 30_000;
const FILE_LIMIT_MS = 60 * 60_000;
const TRIES = 5;
const PAUSE_MS = 2_000;

const isUrl = (from: string): boolean => /^https?:\/\//.test(from);

/** The signed manifest's text, of a file or a URL. Throws `UpgradeError`. */
export async function fetchManifest(from: string, ports: FetchPorts): Promise<string> {
  const text = isUrl(from) ? await overHttp(from, ports) : await ofDisk(from);
  if (text.length > MOST_MANIFEST_BYTES)
    throw new UpgradeError("bad_manifest", "the manifest is larger than one can be");
  return text;
}

async function ofDisk(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    return size > MOST_MANIFEST_BYTES
      ? " ".repeat(MOST_MANIFEST_BYTES + 1)
      : await readFile(file, "utf8");
  } catch (cause) {
    throw new UpgradeError("not_reached", `the manifest cannot be read: ${String(cause)}`, {
      cause,
    });
  }
}

const notReached = (url: string, why: string, cause?: unknown): UpgradeError =>
  new UpgradeError("not_reached", `${withoutQuery(url)}: ${why}`, { cause });
/** What follows the path may be somebody's key to it. */
const withoutQuery = (url: string): string => url.replace(/[?#].*$/s, "");

async function overHttp(url: string, { clock, fetch, signal }: FetchPorts): Promise<string> {
  const late = () => notReached(url, "no answer in time");
  const limit = { clock, ms: MANIFEST_LIMIT_MS, late, ...(signal ? { parent: signal } : {}) };
  return within(limit, async (inner) => {
    try {
      const answer = await fetch(url, { signal: inner, redirect: "error" });
      if (answer.status !== 200) throw notReached(url, `it answered ${answer.status}`);
      let text = "";
      const decoder = new TextDecoder();
      for await (const chunk of answer.body ?? []) {
        text += decoder.decode(chunk, { stream: true });
        if (text.length > MOST_MANIFEST_BYTES) break;
      }
      return text;
    } catch (cause) {
      inner.throwIfAborted();
      throw cause instanceof UpgradeError ? cause : notReached(url, "no answer", cause);
    }
  });
}

/**
 * The release's file from beside its manifest, into `file`, whose checksum is right when this ends. What an earlier try
 * left there is gone on from. Throws `UpgradeError`.
 */
export async function fetchFile(
  manifestAt: string,
  wanted: ReleaseFile,
  file: string,
  ports: FetchPorts,
): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
  try {
    if (isUrl(manifestAt))
      await download(new URL(wanted.name, manifestAt).href, wanted.bytes, file, ports);
    else await copyBeside(manifestAt, wanted, file);
  } catch (cause) {
    if (isFull(cause)) throw new UpgradeError("no_room", "the disk is full", { cause });
    // What broke off is gone on from; what is wrong is not.
    if (cause instanceof UpgradeError && !cause.mayPass) await rm(file, { force: true });
    throw cause;
  }
  if ((await digestOf(file)) === wanted.sha256) return;
  await rm(file, { force: true });
  throw new UpgradeError("checksum", `${wanted.name} is not the file that the manifest names`);
}

async function copyBeside(manifestAt: string, { name, bytes }: ReleaseFile, file: string) {
  const source = path.join(path.dirname(manifestAt), name);
  try {
    const { size } = await stat(source);
    if (size !== bytes)
      throw new UpgradeError("checksum", `${source} has ${size} bytes, not ${bytes}`);
    await copyFile(source, file);
  } catch (cause) {
    if (cause instanceof UpgradeError || isFull(cause)) throw cause;
    throw new UpgradeError("not_reached", `${source} cannot be read: ${String(cause)}`, { cause });
  }
}

async function download(
  url: string,
  bytes: number,
  file: string,
  ports: FetchPorts,
): Promise<void> {
  const { clock } = ports;
  const until = +clock.now() + FILE_LIMIT_MS;
  for (let tries = 1; ; tries++) {
    const had = await sizeOf(file);
    if (had === bytes) return;
    try {
      await goOn(url, had > bytes ? 0 : had, bytes, file, ports, until);
      return;
    } catch (error) {
      if (!(error instanceof UpgradeError) || !error.mayPass) throw error;
      // A try that brought something does not count: a slow line ends in time, or not at all.
      if ((await sizeOf(file)) > had) tries = 0;
      if (tries >= TRIES || +clock.now() >= until) throw error;
      await clock.sleep(PAUSE_MS, ports.signal);
    }
  }
}

async function goOn(
  url: string,
  had: number,
  bytes: number,
  file: string,
  { clock, fetch, signal }: FetchPorts,
  until: number,
): Promise<void> {
  const ending = new AbortController();
  const limited = <T>(work: () => Promise<T>): Promise<T> => {
    const ms = Math.max(1, Math.min(SILENCE_LIMIT_MS, until - +clock.now()));
    const late = () => notReached(url, "it stopped sending");
    return within({ clock, ms, late, ...(signal ? { parent: signal } : {}) }, (inner) => {
      // It waits for its work to end, and what reads ends with the whole answer alone.
      inner.addEventListener("abort", () => ending.abort(inner.reason), { once: true });
      return work();
    });
  };
  const handle = await open(file, had === 0 ? "w" : "r+", 0o600);
  try {
    const answer = await limited(() =>
      fetch(url, {
        signal: ending.signal,
        redirect: "error",
        headers: had === 0 ? {} : { range: `bytes=${had}-` },
      }),
    );
    const goesOn =
      answer.status === 206 && answer.headers.get("content-range")?.startsWith(`bytes ${had}-`);
    if (answer.status !== 200 && !goesOn) throw notReached(url, `it answered ${answer.status}`);
    let at = goesOn ? had : 0;
    if (!goesOn) await handle.truncate(0);
    const reader = answer.body?.getReader();
    for (;;) {
      const { value = null } = (await limited(async () => reader?.read())) ?? {};
      if (value === null) break;
      if (at + value.length > bytes) {
        throw new UpgradeError("checksum", `${withoutQuery(url)} has more than ${bytes} bytes`);
      }
      await handle.write(value, 0, value.length, at);
      at += value.length;
    }
    if (at < bytes) throw notReached(url, `it ended after ${at} of ${bytes} bytes`);
    await handle.sync();
  } catch (cause) {
    if (cause instanceof UpgradeError || isFull(cause)) throw cause;
    signal?.throwIfAborted();
    throw notReached(url, "the line broke", cause);
  } finally {
    ending.abort();
    await handle.close();
  }
}

async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch(() => null);
  return found?.size ?? 0;
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest("hex");
}
