import { open, type FileHandle } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import path from "node:path";
import { exportJWK, generateSecret, jwtVerify } from "jose";
import { ImageTokenClaims, imagePathOf, type ImageServing } from "#core/contracts/agent/images.ts";
import { Sha256 } from "#core/contracts/values.ts";
import type { Clock, Log } from "#core/ports.ts";
import type { ImageFolder } from "#host-agent/drivers/driver.ts";
import { createPace } from "#host-agent/pace.ts";

/** How this host serves its images to others. */
export type ServeImages = Readonly<{
  address: string;
  port: number;
  /** Of all who fetch together. */
  mbitPerSecond: number;
  /** Hosts at once; more are told to come again. */
  hostsAtOnce: number;
}>;
export const DEFAULT_SERVING = { mbitPerSecond: 400, hostsAtOnce: 2 } as const;

export interface ImageServer {
  /** What is told to the control plane; null: it cannot listen there now. It tries again at each call. */
  serving(): Promise<ImageServing | null>;
  close(): Promise<void>;
}

const PREFIX = imagePathOf("");
/** Of a request's head: it has no body. */
const LATE_MS = 10_000;
/** Who takes nothing for so long is let go of. */
const STALL_MS = 60_000;
/** Nor may a place be kept for longer: who asks gives up then, too, and goes on from where it was. */
const MOST_MS = 6 * 3_600_000;
const CHUNK_BYTES = 256 * 1024;
/** Beyond those who fetch: who is to come again must be told so. */
const MORE_CONNECTIONS = 30;
/** A host's clock may run past the control plane's by so much. */
const CLOCK_SKEW_SECONDS = 60;

/**
 * Serves images to other hosts: those alone that this host should hold, by their checksum, while the file has it, and to those
 * whom the control plane gave a token that is signed with this process's own key. Nothing of a request becomes a path. Who
 * asks again while it is being served is served anew, and no longer before.
 */
export function createImageServer(ports: {
  hostId: string;
  folder: ImageFolder;
  options: ServeImages;
  /** The names of the images with this checksum that this host should hold. */
  filesOf: (sha256: string) => readonly string[];
  clock: Clock;
  /** The control plane's time, in which tokens end. */
  planeNow: () => Date;
  log: Log;
  signal: AbortSignal;
}): ImageServer {
  const { hostId, folder, options, clock, log, signal } = ports;
  const made = generateSecret("HS256", { extractable: true });
  const serving = new Map<string, ServerResponse>();
  const pace = createPace(clock, options.mbitPerSecond);
  let server: Server | null = null;

  /** Who asks, when a token of the control plane's says that it may have this image from here. */
  async function askerOf(request: IncomingMessage, sha256: string): Promise<string | null> {
    const [, token] = /^Bearer ([\w.-]{1,2000})$/.exec(request.headers.authorization ?? "") ?? [];
    if (token === undefined) return null;
    try {
      const { payload } = await jwtVerify(token, await made, {
        algorithms: ["HS256"],
        audience: hostId,
        currentDate: ports.planeNow(),
        clockTolerance: CLOCK_SKEW_SECONDS,
      });
      const claims = ImageTokenClaims.parse(payload);
      return claims.sha256 === sha256 ? claims.sub : null;
    } catch {
      return null;
    }
  }

  async function fileOf(sha256: string): Promise<string | null> {
    for (const file of ports.filesOf(sha256))
      if ((await folder.sumOf(file)) === sha256) return file;
    return null;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = "", method } = request;
    const asked = Sha256.safeParse(url.slice(PREFIX.length));
    if (!url.startsWith(PREFIX) || !asked.success) return end(response, 404);
    if (method !== "GET") return end(response, 405, { allow: "GET" });
    const sha256 = asked.data;
    const asker = await askerOf(request, sha256);
    if (asker === null) return end(response, 401);
    const file = await fileOf(sha256);
    if (file === null) return end(response, 404);
    serving.get(asker)?.destroy();
    if (!serving.has(asker) && serving.size >= options.hostsAtOnce)
      return end(response, 503, { "retry-after": "30" });
    serving.set(asker, response);
    const fields = { sha256, file, to: asker };
    try {
      const handle = await open(path.join(folder.path, `${file}${folder.ending}`), "r");
      try {
        const sent = await send(handle, sha256, request, response);
        log.info("image_served", { ...fields, ...sent });
      } finally {
        await handle.close();
      }
    } finally {
      if (serving.get(asker) === response) serving.delete(asker);
    }
  }

  async function send(
    handle: FileHandle,
    sha256: string,
    { headers }: IncomingMessage,
    response: ServerResponse,
  ): Promise<{ from: number; bytes: number; whole: boolean }> {
    const { size } = await handle.stat();
    const etag = `"${sha256}"`;
    const from = Number(/^bytes=(\d{1,15})-$/.exec(headers.range ?? "")?.[1] ?? 0);
    const ifRange = headers["if-range"];
    const begin = ifRange === undefined || ifRange === etag ? from : 0;
    if (begin >= size) {
      end(response, 416, { "content-range": `bytes */${size}` });
      return { from: begin, bytes: 0, whole: true };
    }
    const range = begin === 0 ? {} : { "content-range": `bytes ${begin}-${size - 1}/${size}` };
    response.writeHead(begin === 0 ? 200 : 206, {
      ...range,
      etag,
      "accept-ranges": "bytes",
      "content-type": "application/octet-stream",
      "content-length": size - begin,
    });
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const until = clock.now().getTime() + MOST_MS;
    const isOver = () => response.destroyed || signal.aborted || clock.now().getTime() >= until;
    let at = begin;
    while (at < size && !isOver()) {
      await pace(Math.min(CHUNK_BYTES, size - at), signal);
      const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, at);
      if (bytesRead === 0) break;
      // Written before the next one is read into the same room.
      await written(response, chunk.subarray(0, bytesRead));
      at += bytesRead;
    }
    if (at < size) response.destroy();
    else response.end();
    return { from: begin, bytes: at - begin, whole: at === size };
  }

  /** Resolves when the bytes are the system's, or when nobody takes them any more. */
  async function written(response: ServerResponse, bytes: Buffer): Promise<void> {
    const taken = new AbortController();
    const done = new Promise<void>((resolve) => {
      const over = () => {
        response.off("close", over);
        resolve();
      };
      response.once("close", over);
      response.write(bytes, over);
      if (response.destroyed) over();
    });
    const late = clock.sleep(STALL_MS, AbortSignal.any([taken.signal, signal])).then(
      () => void response.destroy(),
      () => undefined,
    );
    await Promise.race([done, late]);
    taken.abort();
  }

  async function listen(): Promise<Server> {
    const next = createServer((request, response) => {
      answer(request, response).catch((error: unknown) => {
        response.destroy();
        if (!signal.aborted) log.error("image_not_served", { error: String(error) });
      });
    });
    next.maxConnections = options.hostsAtOnce + MORE_CONNECTIONS;
    next.headersTimeout = LATE_MS;
    next.requestTimeout = LATE_MS;
    next.keepAliveTimeout = LATE_MS;
    await new Promise<void>((resolve, reject) => {
      next.once("error", reject);
      next.listen(options.port, options.address, resolve);
    });
    next.on("error", (error) => log.error("image_serving_failed", { error: String(error) }));
    return next;
  }

  async function close(): Promise<void> {
    const closing = server;
    if (closing === null) return;
    server = null;
    await new Promise<void>((resolve) => {
      closing.close(() => resolve());
      closing.closeAllConnections();
    });
  }
  signal.addEventListener("abort", () => void close(), { once: true });

  return {
    async serving() {
      const { address } = options;
      if (server === null) {
        try {
          server = await listen();
          log.info("images_offered", { address, port: portOf(server) });
        } catch (error) {
          // No reason to leave this host's own images alone; its address may come up later.
          log.error("image_serving_failed", { ...options, error: String(error) });
          return null;
        }
      }
      const { k: key = "" } = await exportJWK(await made);
      return { address, port: portOf(server), key };
    },
    close,
  };
}

/** A port that is 0 is any that is free. */
function portOf(server: Server): number {
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("it listens on no port");
  return bound.port;
}

function end(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...headers, "content-length": 0 }).end();
}
