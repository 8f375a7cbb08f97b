import { once } from "node:events";
import { rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { FORWARDED, type Forwarded, type LiveSockets } from "#host-agent/drivers/move-calls.ts";

/** Opens a way to the same socket at the other end. It is ended with the connection that it was opened for. */
export type ConnectForwarded = (kind: Forwarded) => Promise<Duplex>;

/** Sockets that are listened on as long as a move lasts. */
export type ForwardedSockets = Readonly<{
  /** Ends every connection, and removes the sockets. */
  close: () => Promise<void>;
}>;

/**
 * The source's end: whoever connects to one of these sockets, its own hypervisor, is joined with the destination's. What is said on them
 * is none of the agent's. `failed` hears of connections that could not be joined, or broke.
 */
export async function listenForwarded(
  sockets: LiveSockets,
  connectTo: ConnectForwarded,
  failed: (kind: Forwarded, error: unknown) => void,
): Promise<ForwardedSockets> {
  const open = new Set<Duplex>();
  const joins = new Set<Promise<void>>();
  let closed = false;

  async function join(kind: Forwarded, local: Socket): Promise<void> {
    open.add(local);
    // Until it is joined nobody else listens for its errors.
    const early = () => undefined;
    local.on("error", early);
    try {
      const far = await connectTo(kind);
      open.add(far);
      if (closed || local.destroyed) far.destroy();
      await joinStreams(local, far).finally(() => open.delete(far));
    } catch (error) {
      local.destroy();
      if (!closed) failed(kind, error);
    } finally {
      open.delete(local);
    }
  }

  const servers: Server[] = [];
  const close = async () => {
    closed = true;
    for (const server of servers) server.close();
    for (const stream of open) stream.destroy();
    await Promise.all(joins);
    for (const kind of FORWARDED) await rm(sockets[kind], { force: true });
  };
  try {
    for (const kind of FORWARDED) {
      // Of an attempt whose agent was killed.
      await rm(sockets[kind], { force: true });
      // Each side may end its half and go on reading.
      const server = createServer({ allowHalfOpen: true }, (local) => {
        const joined = join(kind, local).finally(() => joins.delete(joined));
        joins.add(joined);
      });
      servers.push(server);
      server.listen(sockets[kind]);
      await once(server, "listening");
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

/** The destination's end: the hypervisor's own socket of this kind. */
export async function connectForwarded(sockets: LiveSockets, kind: Forwarded): Promise<Duplex> {
  const socket = connect({ path: sockets[kind], allowHalfOpen: true });
  await once(socket, "connect");
  return socket;
}

/** Both ways, until both have ended; one that breaks ends the other. `guard`: what the first says to the other goes through it. */
export async function joinStreams(
  one: Duplex,
  other: Duplex,
  guard: Transform | null = null,
): Promise<void> {
  const there = guard === null ? pipeline(one, other) : pipeline(one, guard, other);
  const ways = [there, pipeline(other, one)];
  try {
    await Promise.all(ways);
  } finally {
    one.destroy();
    other.destroy();
    await Promise.allSettled(ways);
  }
}
