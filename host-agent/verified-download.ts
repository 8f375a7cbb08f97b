import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { z } from "zod";
import type { Clock } from "#core/ports.ts";
import { isFull } from "./disk-full.ts";
import { within } from "./time-limit.ts";

export type DownloadPorts = Readonly<{
  fetch: typeof fetch;
  clock: Clock;
  /** Throws when there is no room for so many bytes more; asked before the first and now and then. Left out: the disk says it. */
  needRoom?: (bytes: number) => Promise<void>;
  /** Told now and then; `total` is null while nobody has said it. */
  progress?: (done: number, total: number | null) => void;
}>;

export type WantedFile = Readonly<{
  url: string;
  /** Of the whole file, in hexadecimal: the one thing that is trusted. */
  sha256: string;
  /** null: not told; then `most` is what it may be. */
  bytes: number | null;
  most: number;
  headers?: Readonly<Record<string, string>>;
  mostRedirects: number;
  /** For all of it. */
  limitMs: number;
  /** Who brings less in a minute is let go of. */
  leastPerMinute: number;
}>;

export type DownloadFault =
  | "unreachable"
  | "stalled"
  | "cut_off"
  | "too_slow"
  | "refused"
  | "wrong_size"
  | "wrong_checksum"
  | "no_room"
  | "name_taken";

/** Why a file could not be had: a stable word, and a sentence for people that holds no query of its URL. */
export class DownloadError extends Error {
  override name = "DownloadError";
  readonly code: DownloadFault;
  /** What the server answered, when that is why. */
  readonly status: number | null;
  constructor(
    code: DownloadFault,
    detail: string,
    options?: ErrorOptions & { status?: number | null },
  ) {
    super(`${code}: ${detail}`, options);
    this.code = code;
    this.status = options?.status ?? null;
  }
}

const MIB = 1024 ** 2;
const LOOK_AT_ROOM_EVERY = 64 * MIB;
/** A server that sends nothing for so long has gone. */
const STALL_MS = 60_000;
const MINUTE_MS = 60_000;
const fromOf = (part: string) => `${part}.from`;

/** Where the last of the bytes that are there came from: the same server can say whether its file has changed since. */
const From = z.object({ url: z.string(), validator: z.string().nullable() });
type From = z.infer<typeof From>;

/**
 * Brings a file to `part`, whose checksum is right when this ends. What is there already is gone on from, wherever it came
 * from: the checksum of the whole decides, and what is wrong after that is fetched once more from its beginning. What broke
 * off stays for the next time. Throws `DownloadError`.
 */
export async function downloadVerified(
  ports: DownloadPorts,
  file: WantedFile,
  part: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { clock } = ports;
  const late = () =>
    new DownloadError("too_slow", `not here after ${Math.round(file.limitMs / MINUTE_MS)} minutes`);
  const limit = { clock, ms: file.limitMs, late, ...(signal ? { parent: signal } : {}) };
  await within(limit, async (inner) => {
    for (let anew = false; ; anew = true) {
      const { sha256, resumed } = await download(ports, part, file, inner);
      if (sha256 === file.sha256) return;
      await discard(part);
      if (anew || !resumed)
        throw new DownloadError(
          "wrong_checksum",
          `${shown(file.url)} has the SHA-256 ${sha256}, and not ${file.sha256}`,
        );
    }
  });
}

/** What is left of a download, when nobody goes on with it. */
export async function discard(part: string): Promise<void> {
  await rm(part, { force: true });
  await rm(fromOf(part), { force: true });
}

export const sha256Of = async (file: string): Promise<string> =>
  (await hashOf(file, Infinity)).digest("hex");

type Downloaded = Readonly<{ sha256: string; resumed: boolean }>;

async function download(
  ports: DownloadPorts,
  part: string,
  file: WantedFile,
  signal: AbortSignal,
): Promise<Downloaded> {
  const most = file.bytes ?? file.most;
  const have = await sizeOf(part);
  if (have === file.bytes) return { sha256: await sha256Of(part), resumed: true };
  const from = await readFrom(part);
  const isSame = from?.url === file.url;
  const resumable =
    have > 0 && have < most ? { have, validator: isSame ? from.validator : null } : null;
  const answer = await ask(ports, file, resumable, signal);
  const range = answer.status === 206 && resumable ? rangeOf(answer) : null;
  const cancel = () => answer.body?.cancel().catch(() => undefined);
  if (resumable && (answer.status === 416 || (answer.status === 206 && range?.start !== have))) {
    await cancel();
    // All of it was here already, and only its name was missing.
    if (answer.headers.get("content-range") === `bytes */${have}`)
      return { sha256: await sha256Of(part), resumed: true };
    // It has not what we have, or says one range and means another.
    await discard(part);
    return download(ports, part, file, signal);
  }
  try {
    const offset = range === null ? 0 : have;
    const { status } = answer;
    if (status !== 200 && range === null)
      throw new DownloadError("refused", `${shown(file.url)} answered ${status}`, { status });
    const encoding = answer.headers.get("content-encoding") ?? "identity";
    if (encoding !== "identity" || answer.body === null)
      throw new DownloadError("refused", `${shown(file.url)} did not answer with the file`);
    const total = range === null ? lengthOf(answer) : range.total;
    if (total !== null && (total > most || (file.bytes !== null && total !== file.bytes)))
      throw new DownloadError(
        "wrong_size",
        `${shown(file.url)} has ${total} bytes, and ${file.bytes ?? `at most ${most}`} are expected`,
      );
    if (offset === 0) await discard(part);
    if (offset === 0 || !isSame) {
      const kept: From = { url: file.url, validator: validatorOf(answer) };
      await writeFile(fromOf(part), JSON.stringify(kept), { mode: 0o600 });
    }
    const into = { part, offset, most, total: total ?? file.bytes };
    const sha256 = await store(ports, answer.body, into, file, signal);
    return { sha256, resumed: offset > 0 };
  } catch (error) {
    if (isFull(error)) throw new DownloadError("no_room", "the disk is full", { cause: error });
    throw error;
  } finally {
    await cancel();
  }
}

/** Follows redirects by itself, as none may lead to anything but http(s), and some may lead nowhere. */
async function ask(
  ports: DownloadPorts,
  { url, headers: given, mostRedirects }: WantedFile,
  resumable: { have: number; validator: string | null } | null,
  signal: AbortSignal,
): Promise<Response> {
  const headers = new Headers({ ...given, "accept-encoding": "identity" });
  if (resumable) {
    headers.set("range", `bytes=${resumable.have}-`);
    if (resumable.validator !== null) headers.set("if-range", resumable.validator);
  }
  let at = url;
  for (let hops = 0; hops <= mostRedirects; hops++) {
    const to = URL.parse(at);
    if (to === null || !/^https?:$/.test(to.protocol))
      throw new DownloadError("refused", `${shown(at)} is not an http(s) URL`);
    const answer = await orStalled(ports, at, signal, (inner) =>
      ports.fetch(to, { headers, signal: inner, redirect: "manual" }),
    );
    const location = answer.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === null) return answer;
    await answer.body?.cancel().catch(() => undefined);
    at = URL.parse(location, to)?.href ?? location;
  }
  throw new DownloadError("refused", `${shown(url)} leads on more than ${mostRedirects} times`);
}

type Into = Readonly<{ part: string; offset: number; most: number; total: number | null }>;

/** Appends the body, reading its checksum along with what is there already. Answers the whole's. */
async function store(
  ports: DownloadPorts,
  body: ReadableStream<Uint8Array>,
  { part, offset, most, total }: Into,
  { url, leastPerMinute }: WantedFile,
  signal: AbortSignal,
): Promise<string> {
  const { clock } = ports;
  const hash = await hashOf(part, offset);
  const file = await open(part, offset === 0 ? "w" : "a", 0o600);
  try {
    const reader = body.getReader();
    let done = offset;
    let lookAt = offset;
    let minute = { since: +clock.now(), from: done };
    for (;;) {
      if (done >= lookAt) {
        await ports.needRoom?.(total === null ? LOOK_AT_ROOM_EVERY : total - done);
        lookAt += LOOK_AT_ROOM_EVERY;
        ports.progress?.(done, total);
      }
      const next = await orStalled(ports, url, signal, () => reader.read());
      if (next.done) break;
      if (done + next.value.byteLength > (total ?? most))
        throw new DownloadError("wrong_size", `${shown(url)} sends more than it should`);
      await file.appendFile(next.value);
      hash.update(next.value);
      done += next.value.byteLength;
      const now = +clock.now();
      if (now - minute.since < MINUTE_MS) continue;
      if (done - minute.from < leastPerMinute)
        throw new DownloadError("too_slow", `${shown(url)} sent ${done - minute.from} bytes`);
      minute = { since: now, from: done };
    }
    if (total !== null && done < total)
      throw new DownloadError("cut_off", `${shown(url)} ended after ${done} of ${total} bytes`);
    await file.sync();
    ports.progress?.(done, done);
    return hash.digest("hex");
  } catch (error) {
    if (error instanceof DownloadError && error.code === "wrong_size") await discard(part);
    throw error;
  } finally {
    await file.close();
  }
}

/** The work, unless it takes longer than a server may be silent; what the network throws gets its word. */
async function orStalled<T>(
  { clock }: DownloadPorts,
  url: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const over = new AbortController();
  const inner = new AbortController();
  const stalled = clock.sleep(STALL_MS, AbortSignal.any([over.signal, signal])).then(() => {
    const why = new DownloadError("stalled", `${shown(url)} sent nothing for a minute`);
    inner.abort(why);
    throw why;
  });
  try {
    // Who does not listen to the signal is not waited for either.
    return await Promise.race([work(AbortSignal.any([inner.signal, signal])), stalled]);
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof DownloadError) throw cause;
    throw new DownloadError("unreachable", `${shown(url)}: ${reasonOf(cause)}`, { cause });
  } finally {
    over.abort();
  }
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

async function hashOf(file: string, bytes: number): Promise<Hash> {
  const hash = createHash("sha256");
  if (bytes === 0) return hash;
  for await (const chunk of createReadStream(file, { end: bytes - 1, highWaterMark: MIB }))
    if (chunk instanceof Uint8Array) hash.update(chunk);
  return hash;
}

async function readFrom(part: string): Promise<From | null> {
  try {
    return From.parse(JSON.parse(await readFile(fromOf(part), "utf8")));
  } catch {
    return null;
  }
}

/** RFC 9110 §13.1.5: a weak tag is no ground to go on from. */
function validatorOf({ headers }: Response): string | null {
  const tag = headers.get("etag");
  if (tag !== null && !tag.startsWith("W/")) return tag;
  return headers.get("last-modified");
}

function rangeOf({ headers }: Response): { start: number; total: number | null } | null {
  const [, start, total] =
    /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(headers.get("content-range") ?? "") ?? [];
  if (start === undefined || total === undefined) return null;
  return { start: Number(start), total: total === "*" ? null : Number(total) };
}

function lengthOf({ headers }: Response): number | null {
  const length = headers.get("content-length") ?? "";
  return /^\d{1,15}$/.test(length) ? Number(length) : null;
}

/** A URL as it may be logged: a signed one has its secret in the query. */
export function shown(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null
    ? "what is no URL"
    : `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message : String(cause);
}
