import { copyFile, mkdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { Clock } from "#core/ports.ts";
import { isFull } from "#host-agent/disk-full.ts";
import { within } from "#host-agent/time-limit.ts";
import {
  discard,
  DownloadError,
  downloadVerified,
  sha256Of,
  shown,
  type DownloadFault,
} from "#host-agent/verified-download.ts";
import type { ReleaseFile } from "./manifest.ts";
import { UpgradeError, type UpgradeFault } from "./upgrade-error.ts";

export type FetchPorts = {
  clock: Clock;
  fetch: typeof fetch;
  signal?: AbortSignal | undefined;
};

const MOST_MANIFEST_BYTES = 64 * 1024;
const MANIFEST_LIMIT_MS = 30_000;
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
  new UpgradeError("not_reached", `${shown(url)}: ${why}`, { cause });

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
  if (isUrl(manifestAt))
    return download(new URL(wanted.name, manifestAt).href, wanted, file, ports);
  await copyBeside(manifestAt, wanted, file);
  if ((await sha256Of(file)) === wanted.sha256) return;
  await discard(file);
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
    if (cause instanceof UpgradeError) throw cause;
    if (isFull(cause)) throw new UpgradeError("no_room", "the disk is full", { cause });
    throw new UpgradeError("not_reached", `${source} cannot be read: ${String(cause)}`, { cause });
  }
}

/** A command waits for it, and a session is minutes away: what breaks off is gone on with at once. */
async function download(
  url: string,
  { bytes, sha256 }: ReleaseFile,
  file: string,
  { clock, fetch, signal }: FetchPorts,
): Promise<void> {
  const until = +clock.now() + FILE_LIMIT_MS;
  const of = { url, sha256, bytes, most: bytes, mostRedirects: 0, leastPerMinute: 0 };
  for (let tries = 1; ; tries++) {
    const had = await sizeOf(file);
    const limitMs = Math.max(1, until - +clock.now());
    try {
      await downloadVerified({ clock, fetch }, { ...of, limitMs }, file, signal);
      return;
    } catch (cause) {
      if (!(cause instanceof DownloadError)) throw cause;
      const error = new UpgradeError(UPGRADE_FAULT[cause.code], cause.message, { cause });
      // A try that brought something does not count: a slow line ends in time, or not at all.
      if ((await sizeOf(file)) > had) tries = 0;
      if (error.code !== "not_reached" || tries >= TRIES || +clock.now() >= until) throw error;
      await clock.sleep(PAUSE_MS, signal);
    }
  }
}

/** What is wrong stays so; what broke off is gone on with. */
const UPGRADE_FAULT = {
  unreachable: "not_reached",
  stalled: "not_reached",
  cut_off: "not_reached",
  too_slow: "not_reached",
  refused: "not_reached",
  wrong_size: "checksum",
  wrong_checksum: "checksum",
  no_room: "no_room",
  name_taken: "no_room",
} as const satisfies Record<DownloadFault, UpgradeFault>;

async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch(() => null);
  return found?.size ?? 0;
}
