import { constants } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect, createServer, type TLSSocket } from "node:tls";
import type { Clock, Log } from "#core/ports.ts";
import { pause, within } from "#host-agent/time-limit.ts";
import { createByteReader } from "./channel-bytes.ts";
import {
  ADMITTED,
  BEATS,
  greetingOf,
  kindIn,
  MOST_OF_LINE,
  refusalIn,
  refusalLine,
  type MoveKind,
} from "./greeting.ts";
import { watchLife } from "./liveness.ts";
import { MoveStreamError } from "./stream-error.ts";

/*
 * The stream between the agents of two hosts (docs/adr/0054). Who may use it is a move's key and nothing else: there are no
 * certificates that would outlive the move, or be good for another one.
 */

/** Until it is known who came, and what for. */
const GREETING_MS = 10_000;
/** Who have not said so yet; the oldest goes for the next one, so that nobody keeps others out by saying nothing. */
const MOST_GREETING = 32;
/** A live move has three sockets, and one more for each disk. */
const MOST_OF_MOVE = 12;
const MOST_CONNECTIONS = 128;
const KEY_BYTES = 32;
/** Of one event: this end's own few, and those of the two pipelines that join it with a hypervisor's socket. */
const MOST_LISTENERS = 20;

/** A raw pre-shared key goes with SHA-256 alone (RFC 8446 §4.2.11), and of those ciphers this is the one that processors have. */
const TLS = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256",
} as const;

export type MoveHandler = (channel: Duplex) => Promise<void>;

export interface MoveServer {
  readonly port: number;
  /** Ends all that is under way. */
  close(): Promise<void>;
}

/**
 * Listens for all moves of this host. `keyOf` is asked for each who comes: a move whose key is not known any more has no
 * way in. `handlerOf`: null, and who came is told that there is nothing of this kind for this move. A channel is over when its
 * handler's promise is: it is closed then, and what the promise was rejected with is logged. Throws what listening throws.
 */
export async function createMoveServer(ports: {
  listen: Readonly<{ host: string; port: number }>;
  keyOf: (moveId: string) => Uint8Array | null;
  handlerOf: (moveId: string, kind: MoveKind) => MoveHandler | null;
  log: Log;
  clock: Clock;
  signal: AbortSignal;
}): Promise<MoveServer> {
  const { listen, clock, log, signal } = ports;
  /** The oldest first. */
  const greeting = new Map<string, Socket>();
  const connected = new Set<Socket>();
  const admitted = new Map<string, number>();
  const claimed = new WeakMap<TLSSocket, string>();

  const server = createServer({
    ...TLS,
    // A ticket would be a way in when the key is none any more.
    secureOptions: constants.SSL_OP_NO_TICKET,
    pskCallback(socket, moveId) {
      const key = ports.keyOf(moveId);
      if (key?.byteLength !== KEY_BYTES) return null;
      claimed.set(socket, moveId);
      return key;
    },
  });
  server.maxConnections = MOST_CONNECTIONS;

  server.on("connection", (socket: Socket) => {
    const name = nameOf(socket);
    const over = new AbortController();
    if (greeting.size >= MOST_GREETING) oldest(greeting)?.destroy();
    connected.add(socket);
    greeting.set(name, socket);
    socket.on("error", () => undefined);
    socket.once("close", () => {
      connected.delete(socket);
      if (greeting.get(name) === socket) greeting.delete(name);
      over.abort();
    });
    void pause(clock, GREETING_MS, over.signal).then(() => {
      if (greeting.get(name) === socket) socket.destroy();
    });
  });
  // Who has no key tells nothing that the log should be filled with.
  server.on("tlsClientError", (_, socket) => void socket.destroy());
  server.on("secureConnection", (socket) => {
    socket.on("error", () => undefined);
    socket.setMaxListeners(MOST_LISTENERS);
    const moveId = claimed.get(socket);
    if (moveId === undefined) return void socket.destroy();
    serve(moveId, socket).catch((error: unknown) => {
      socket.destroy();
      if (!signal.aborted) log.error("move_stream_failed", { move_id: moveId, ...told(error) });
    });
  });

  async function serve(moveId: string, socket: TLSSocket): Promise<void> {
    const reader = createByteReader(socket);
    const asked = kindIn(await reader.line(MOST_OF_LINE));
    reader.release();
    greeting.delete(nameOf(socket));
    if (asked === "version" || asked === "kind") return refuse(socket, asked);
    const handler = ports.handlerOf(moveId, asked);
    if (handler === null) return refuse(socket, "kind");
    const others = admitted.get(moveId) ?? 0;
    if (others >= MOST_OF_MOVE) return refuse(socket, "busy");
    admitted.set(moveId, others + 1);
    socket.once("close", () => {
      const left = (admitted.get(moveId) ?? 1) - 1;
      if (left === 0) admitted.delete(moveId);
      else admitted.set(moveId, left);
    });
    watchLife(socket, { clock, beats: BEATS[asked] });
    socket.write(`${ADMITTED}\n`);
    await handler(socket);
    socket.destroySoon();
  }

  async function close(): Promise<void> {
    const closed = server.listening ? once(server, "close") : null;
    server.close();
    for (const socket of connected) socket.destroy();
    await closed;
  }
  signal.addEventListener("abort", () => void close(), { once: true });
  server.listen(listen.port, listen.host);
  await once(server, "listening", { signal });
  server.on("error", (error) => log.error("move_server_failed", { error: String(error) }));
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("it listens on no port");
  return { port: bound.port, close };
}

/** A connection by its other end, which is the same for what carries it and for what it carries. */
const nameOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

const oldest = (of: ReadonlyMap<string, Socket>): Socket | undefined => of.values().next().value;

function refuse(socket: TLSSocket, why: "version" | "kind" | "busy"): void {
  socket.write(`${refusalLine(why)}\n`);
  socket.destroySoon();
}

const told = (error: unknown) => ({
  error: String(error),
  ...(error instanceof MoveStreamError ? { code: error.code } : {}),
});

/**
 * A stream of this kind to the host that receives the move. Throws `unreachable`, `not_admitted`, `refused`, and the
 * signal's reason, which ends the stream later, too.
 */
export async function connectTo(to: {
  host: string;
  port: number;
  moveId: string;
  key: Uint8Array;
  kind: MoveKind;
  clock: Clock;
  signal: AbortSignal;
}): Promise<Duplex> {
  const { host, port, clock, kind, signal } = to;
  const late = () => new MoveStreamError("unreachable", `no answer within ${GREETING_MS / 1000} s`);
  return within({ clock, ms: GREETING_MS, late, parent: signal }, async (inner) => {
    const socket = connect({
      host,
      port,
      ...TLS,
      pskCallback: () => ({ psk: to.key, identity: to.moveId }),
      // No certificate is good for anything here, whoever signed it. With the key alone, this is not asked.
      ca: [],
      checkServerIdentity: () => new Error("it came with a certificate"),
    });
    socket.on("error", () => undefined);
    socket.setMaxListeners(MOST_LISTENERS);
    const end = () => socket.destroy();
    signal.addEventListener("abort", end, { once: true });
    socket.once("close", () => signal.removeEventListener("abort", end));
    try {
      await admittance(socket, kind, inner);
    } catch (error) {
      socket.destroy();
      inner.throwIfAborted();
      throw error;
    }
    watchLife(socket, { clock, beats: BEATS[kind] });
    return socket;
  });
}

async function admittance(socket: TLSSocket, kind: MoveKind, signal: AbortSignal): Promise<void> {
  let code: "unreachable" | "not_admitted" = "unreachable";
  socket.once("connect", () => (code = "not_admitted"));
  try {
    await once(socket, "secureConnect", { signal });
  } catch (cause) {
    const detail =
      code === "unreachable" ? "nobody listens there" : "the move or its key is not known";
    throw new MoveStreamError(code, detail, { cause });
  }
  socket.write(`${greetingOf(kind)}\n`);
  const reader = createByteReader(socket);
  const end = () => socket.destroy();
  signal.addEventListener("abort", end, { once: true });
  try {
    const why = refusalIn(await reader.line(MOST_OF_LINE));
    if (why !== null) throw new MoveStreamError("refused", why);
  } finally {
    signal.removeEventListener("abort", end);
    reader.release();
  }
}
