import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, chmod, link, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import type { WantedImage } from "#core/contracts/agent/images.ts";
import type { Clock } from "#core/ports.ts";
import type { ImageFolder } from "#host-agent/drivers/driver.ts";
import { within } from "#host-agent/time-limit.ts";

export type FetchPorts = Readonly<{
  fetch: typeof fetch;
  clock: Clock;
  /** What the folder's volume has left for the agent. */
  freeBytes: (folder: string) => Promise<number>;
  /** Told now and then; `total` is null while nobody has said it. */
  progress: (done: number, total: number | null) => void;
}>;

/** Why an image could not be fetched: a stable word, and a sentence for people that holds no query of its URL. */
export class ImageFetchError extends Error {
  override name = "ImageFetchError";
  readonly code: string;
  constructor(code: string, detail: string, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options);
    this.code = code;
  }
}

const MIB = 1024 ** 2;
/** Of an image whose size nobody has told. */
export const MOST_BYTES = 256 * 1024 * MIB;
/** The host's own, besides what a driver keeps for new disks. */
const RESERVE_BYTES = 1024 * MIB;
const LOOK_AT_ROOM_EVERY = 64 * MIB;
/** A server that sends nothing for so long has gone. */
const STALL_MS = 60_000;
/** Then it begins anew from where it was, with a new connection. */
const TRY_MS = 6 * 3_600_000;
const MOST_REDIRECTS = 5;

/** Where a file is made before it has its name; not the name of an image. */
export const partOf = ({ path: dir }: ImageFolder, { file, sha256 }: WantedImage): string =>
  path.join(dir, `.${file}.${sha256.slice(0, 16)}.part`);
export const PART = /^\.[a-z0-9][a-z0-9._-]*\.[0-9a-f]{16}\.part(\.from)?$/;
const fromOf = (part: string) => `${part}.from`;

/** What the bytes that are there already came from: only the same may be added to them. */
const From = z.object({ url: z.string(), validator: z.string().nullable() });
type From = z.infer<typeof From>;

/**
 * Fetches an image into the folder: under its name there is either nothing or the whole file with this checksum, read-only.
 * What was fetched before is gone on from. A file that has the name already is never replaced. Throws `ImageFetchError`.
 */
export async function fetchImage(
  ports: FetchPorts,
  folder: ImageFolder,
  image: WantedImage,
  signal: AbortSignal,
): Promise<void> {
  const part = partOf(folder, image);
  const late = () => new ImageFetchError("too_slow", `not here after ${TRY_MS / 3_600_000} hours`);
  await within({ clock: ports.clock, ms: TRY_MS, late, parent: signal }, async (inner) => {
    for (let anew = false; ; anew = true) {
      const { sha256, resumed } = await download(ports, part, image, inner);
      if (sha256 === image.sha256) break;
      await discard(part);
      // The file may have changed on its server between two tries: then all of it is fetched once more.
      if (anew || !resumed)
        throw new ImageFetchError(
          "wrong_checksum",
          `${shown(image.url)} has the SHA-256 ${sha256}, and not ${image.sha256}`,
        );
    }
  });
  await giveName(part, path.join(folder.path, `${image.file}${folder.ending}`));
}

type Downloaded = Readonly<{ sha256: string; resumed: boolean }>;

async function download(
  ports: FetchPorts,
  part: string,
  image: WantedImage,
  signal: AbortSignal,
): Promise<Downloaded> {
  const most = image.bytes ?? MOST_BYTES;
  const have = await sizeOf(part);
  if (have === image.bytes)
    return { sha256: (await hashOf(part, have)).digest("hex"), resumed: true };
  const from = have > 0 && have < most ? await readFrom(part) : null;
  const resumable = from?.url === image.url ? { have, validator: from.validator } : null;
  const answer = await ask(ports, image.url, resumable, signal);
  const range = answer.status === 206 && resumable ? rangeOf(answer) : null;
  const cancel = () => answer.body?.cancel().catch(() => undefined);
  if (resumable && (answer.status === 416 || (answer.status === 206 && range?.start !== have))) {
    await cancel();
    // All of it was here already, and only its name was missing.
    if (answer.headers.get("content-range") === `bytes */${have}`)
      return { sha256: (await hashOf(part, have)).digest("hex"), resumed: true };
    // It has not what we have, or says one range and means another.
    await discard(part);
    return download(ports, part, image, signal);
  }
  try {
    const offset = range === null ? 0 : have;
    if (answer.status !== 200 && range === null)
      throw new ImageFetchError("refused", `${shown(image.url)} answered ${answer.status}`);
    const encoding = answer.headers.get("content-encoding") ?? "identity";
    if (encoding !== "identity" || answer.body === null)
      throw new ImageFetchError("refused", `${shown(image.url)} did not answer with the file`);
    const total = range === null ? lengthOf(answer) : range.total;
    if (total !== null && (total > most || (image.bytes !== null && total !== image.bytes)))
      throw new ImageFetchError(
        "wrong_size",
        `${shown(image.url)} has ${total} bytes, and ${image.bytes ?? `at most ${most}`} are expected`,
      );
    if (offset === 0) {
      await discard(part);
      const kept: From = { url: image.url, validator: validatorOf(answer) };
      await writeFile(fromOf(part), JSON.stringify(kept), { mode: 0o600 });
    }
    const into = { part, offset, most, total: total ?? image.bytes, url: image.url };
    const sha256 = await store(ports, answer.body, into, signal);
    return { sha256, resumed: offset > 0 };
  } finally {
    await cancel();
  }
}

/** Follows redirects by itself, as none may lead to anything but http(s). */
async function ask(
  ports: FetchPorts,
  url: string,
  resumable: { have: number; validator: string | null } | null,
  signal: AbortSignal,
): Promise<Response> {
  const headers = new Headers({ "accept-encoding": "identity" });
  if (resumable) {
    headers.set("range", `bytes=${resumable.have}-`);
    if (resumable.validator !== null) headers.set("if-range", resumable.validator);
  }
  let at = url;
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const to = URL.parse(at);
    if (to === null || !/^https?:$/.test(to.protocol))
      throw new ImageFetchError("refused", `${shown(at)} is not an http(s) URL`);
    const answer = await orStalled(ports, at, signal, (inner) =>
      ports.fetch(to, { headers, signal: inner, redirect: "manual" }),
    );
    const location = answer.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === null) return answer;
    await answer.body?.cancel().catch(() => undefined);
    at = URL.parse(location, to)?.href ?? location;
  }
  throw new ImageFetchError("refused", `${shown(url)} leads on more than ${MOST_REDIRECTS} times`);
}

type Into = Readonly<{
  part: string;
  offset: number;
  most: number;
  total: number | null;
  url: string;
}>;

/** Appends the body, reading its checksum along with what is there already. Answers the whole's. */
async function store(
  ports: FetchPorts,
  body: ReadableStream<Uint8Array>,
  { part, offset, most, total, url }: Into,
  signal: AbortSignal,
): Promise<string> {
  const hash = await hashOf(part, offset);
  const file = await open(part, offset === 0 ? "w" : "a", 0o600);
  try {
    const reader = body.getReader();
    let done = offset;
    let lookAt = offset;
    for (;;) {
      if (done >= lookAt) {
        await needRoom(
          ports,
          path.dirname(part),
          total === null ? LOOK_AT_ROOM_EVERY : total - done,
        );
        lookAt += LOOK_AT_ROOM_EVERY;
        ports.progress(done, total);
      }
      const next = await orStalled(ports, url, signal, () => reader.read());
      if (next.done) break;
      if (done + next.value.byteLength > (total ?? most))
        throw new ImageFetchError("wrong_size", `${shown(url)} sends more than it should`);
      await file.appendFile(next.value);
      hash.update(next.value);
      done += next.value.byteLength;
    }
    if (total !== null && done < total)
      throw new ImageFetchError("cut_off", `${shown(url)} ended after ${done} of ${total} bytes`);
    await file.sync();
    ports.progress(done, done);
    return hash.digest("hex");
  } catch (error) {
    if (error instanceof ImageFetchError && error.code === "wrong_size") await discard(part);
    throw error;
  } finally {
    await file.close();
  }
}

/** The work, unless it takes longer than a server may be silent; what the network throws gets its word. */
async function orStalled<T>(
  { clock }: FetchPorts,
  url: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const over = new AbortController();
  const inner = new AbortController();
  const stalled = clock.sleep(STALL_MS, AbortSignal.any([over.signal, signal])).then(() => {
    const why = new ImageFetchError("stalled", `${shown(url)} sent nothing for a minute`);
    inner.abort(why);
    throw why;
  });
  try {
    // Who does not listen to the signal is not waited for either.
    return await Promise.race([work(AbortSignal.any([inner.signal, signal])), stalled]);
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof ImageFetchError) throw cause;
    throw new ImageFetchError("unreachable", `${shown(url)}: ${reasonOf(cause)}`, { cause });
  } finally {
    over.abort();
  }
}

async function needRoom({ freeBytes }: FetchPorts, folder: string, bytes: number): Promise<void> {
  const free = await freeBytes(folder);
  if (free < bytes + RESERVE_BYTES)
    throw new ImageFetchError(
      "no_room",
      `${Math.ceil(bytes / MIB)} MiB more and a reserve of ${RESERVE_BYTES / MIB} MiB are needed, and ${folder} has ${Math.floor(free / MIB)} MiB free`,
    );
}

/** All or nothing, and never over a file that is there: VMs may stand on that. */
async function giveName(part: string, target: string): Promise<void> {
  await chmod(part, 0o444);
  try {
    await link(part, target);
  } catch (error) {
    if (codeOf(error) === "EEXIST" || (await isThere(target))) {
      await discard(part);
      throw new ImageFetchError("name_taken", `${target} is there already, and is not replaced`);
    }
    // A file system without hard links, such as ReFS of before Windows Server 2022.
    await rename(part, target);
  }
  await discard(part);
  // On Windows the right to delete one name of a file is the file's.
  await chmod(target, 0o444);
  if (process.platform === "win32") return;
  const folder = await open(path.dirname(target), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export async function discard(part: string): Promise<void> {
  await rm(part, { force: true });
  await rm(fromOf(part), { force: true });
}

export const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

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

/** null: it is not known what it came from, so that nothing may be added. */
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
function shown(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null
    ? "what is no URL"
    : `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message : String(cause);
}
