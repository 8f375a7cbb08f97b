import type { Duplex } from "node:stream";
import type { MigrationAddress } from "#core/contracts/agent/moves.ts";
import type { Clock, Log } from "#core/ports.ts";
import { connectTo, createMoveServer } from "./channel.ts";
import { confirmDisk } from "./confirm-disk.ts";
import { receiveDisk, type ReceiveDisk } from "./receive-disk.ts";
import { sendDisk, type MovedFile } from "./send-disk.ts";

/** How disks go from host to host. The agent knows no more of it than this, so that a simulator may bring its own. */
export interface MoveChannel {
  /** Takes what others send, until `signal` is aborted; null: this host takes nothing. Throws what listening throws. */
  readonly listen: ((door: MoveDoor, signal: AbortSignal) => Promise<MigrationAddress>) | null;
  /** Returns once both hosts know that they have the same. What was cut off before is gone on with. */
  send(disk: OutgoingDisk): Promise<MovedFile>;
}

/** Who may come in, and what for. It is asked for each who comes. */
export type MoveDoor = Readonly<{
  /** null: no disk of this move is taken now. */
  keyOf: (moveId: string) => Uint8Array | null;
  takerOf: (moveId: string) => ((disk: IncomingDisk) => Promise<void>) | null;
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
      (async ({ keyOf, takerOf }, signal) => {
        const { address: host, port } = listen;
        const server = await createMoveServer({
          listen: { host, port },
          keyOf,
          handlerOf: (moveId, kind) => {
            const take = kind === "disk" ? takerOf(moveId) : null;
            return take && ((channel) => take(incoming(channel, clock)));
          },
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
  };
}

const incoming = (channel: Duplex, clock: Clock): IncomingDisk => ({
  receive: (into) => receiveDisk({ ...into, channel, clock }),
  confirm: (held, signal) => confirmDisk({ channel, held, clock, signal }),
});
