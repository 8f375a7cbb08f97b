import type { Duplex } from "node:stream";
import type { MigrationAddress } from "#core/contracts/agent/moves.ts";
import type { Clock, Log } from "#core/ports.ts";
import type { Forwarded } from "#host-agent/drivers/move-calls.ts";
import { within } from "#host-agent/time-limit.ts";
import { connectTo, createMoveServer, type MoveHandler } from "./channel.ts";
import { confirmDisk } from "./confirm-disk.ts";
import type { MoveKind } from "./greeting.ts";
import { answerLive, askLive, type LiveAnswer, type LiveQuestion } from "./live-questions.ts";
import { receiveDisk, type ReceiveDisk } from "./receive-disk.ts";
import { sendDisk, type MovedFile } from "./send-disk.ts";
import { MoveStreamError } from "./stream-error.ts";

/** How disks go from host to host, and how the two agents of a live move talk. The agent knows no more of it than this, so that a simulator may bring its own. */
export interface MoveChannel {
  /** Takes what others send, until `signal` is aborted; null: this host takes nothing. Throws what listening throws. */
  readonly listen: ((door: MoveDoor, signal: AbortSignal) => Promise<MigrationAddress>) | null;
  /** Returns once both hosts know that they have the same. What was cut off before is gone on with. */
  send(disk: OutgoingDisk): Promise<MovedFile>;
  /** Left out, or null: no VM is moved live by it. */
  readonly live?: LiveChannel | null;
}

/** The other end of a move, and what lets this one in there. */
export type FarEnd = Readonly<{ to: MigrationAddress; moveId: string; key: Uint8Array }>;

/** What a live move's source asks of its destination. */
export interface LiveChannel {
  /** Throws `MoveStreamError`, and the signal's reason. */
  ask(end: FarEnd, question: LiveQuestion, signal: AbortSignal): Promise<LiveAnswer>;
  /** A way to the hypervisor's socket there, which ends with the signal. */
  open(end: FarEnd, kind: Forwarded, signal: AbortSignal): Promise<Duplex>;
}

/** A destination, to the source of a live move. */
export type LiveDoor = Readonly<{
  answer: (question: LiveQuestion) => Promise<LiveAnswer>;
  /** Joins the channel with the hypervisor's own socket, until both have ended; null: nothing is joined now. */
  join: ((kind: Forwarded, channel: Duplex) => Promise<void>) | null;
}>;

/** Who may come in, and what for. It is asked for each who comes. */
export type MoveDoor = Readonly<{
  /** null: no disk of this move is taken now. */
  keyOf: (moveId: string) => Uint8Array | null;
  takerOf: (moveId: string) => ((disk: IncomingDisk) => Promise<void>) | null;
  liveOf: (moveId: string) => LiveDoor | null;
}>;

export type OutgoingDisk = Readonly<{
  to: MigrationAddress;
  moveId: string;
  key: Uint8Array;
  path: string;
  mbitPerSecond: number;
  /** Told again and again how far it is. */
  progress: (bytes: number) => void;
  signal: AbortSignal;
}>;

/** A disk that another host sends now. One of the two is called, once. */
export interface IncomingDisk {
  /** Into the file, going on with what is there of this attempt. */
  receive(into: Omit<ReceiveDisk, "channel" | "clock">): Promise<MovedFile>;
  /** It came whole before. Throws when it is another one. */
  confirm(held: MovedFile, signal: AbortSignal): Promise<void>;
}

/** Whoever is asked looks at its hypervisor first. */
const ANSWER_MS = 60_000;

/** Over TLS with each move's own key (docs/adr/0054). `listen`: null, and this host gives VMs away, but takes none. */
export function createMoveChannel(ports: {
  listen: Readonly<{ address: string; port: number }> | null;
  clock: Clock;
  log: Log;
}): MoveChannel {
  const { listen, clock, log } = ports;
  return {
    listen:
      listen &&
      (async (door, signal) => {
        const { address: host, port } = listen;
        const server = await createMoveServer({
          listen: { host, port },
          keyOf: door.keyOf,
          handlerOf: (moveId, kind) => handlerOf(door, moveId, kind, clock),
          log,
          clock,
          signal,
        });
        return { host, port: server.port };
      }),
    async send({ to, moveId, key, ...disk }) {
      const { signal } = disk;
      const channel = await connectTo({ ...to, moveId, key, kind: "disk", clock, signal });
      return sendDisk({ ...disk, channel, clock });
    },
    live: {
      ask: ({ to, ...end }, question, parent) => {
        const late = () => new MoveStreamError("stalled", `no answer within ${ANSWER_MS / 1000} s`);
        return within({ clock, ms: ANSWER_MS, late, parent }, async (signal) => {
          const channel = await connectTo({ ...to, ...end, kind: "live", clock, signal });
          try {
            return await askLive(channel, question);
          } finally {
            channel.destroy();
          }
        });
      },
      open: ({ to, ...end }, kind, signal) => connectTo({ ...to, ...end, kind, clock, signal }),
    },
  };
}

function handlerOf(
  { takerOf, liveOf }: MoveDoor,
  moveId: string,
  kind: MoveKind,
  clock: Clock,
): MoveHandler | null {
  if (kind === "disk") {
    const take = takerOf(moveId);
    return take && ((channel) => take(incoming(channel, clock)));
  }
  const live = liveOf(moveId);
  if (live === null) return null;
  if (kind === "live") return (channel) => answerLive(channel, live.answer);
  const { join } = live;
  return join && ((channel) => join(kind, channel));
}

const incoming = (channel: Duplex, clock: Clock): IncomingDisk => ({
  receive: (into) => receiveDisk({ ...into, channel, clock }),
  confirm: (held, signal) => confirmDisk({ channel, held, clock, signal }),
});
