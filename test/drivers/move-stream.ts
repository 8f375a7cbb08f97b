import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";

/* What tests of the stream between two hosts share: real sockets on this machine. */

const HOST = "127.0.0.1";

/** A listener whose connections are all ended with it. */
async function listening(onSocket: (socket: Socket) => void) {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    onSocket(socket);
  });
  server.listen(0, HOST);
  await once(server, "listening");
  const port = portOf(server);
  const close = async () => {
    const closed = once(server, "close");
    server.close();
    for (const socket of open) socket.destroy();
    await closed;
  };
  return { port, close };
}

export function portOf(server: Server): number {
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("it listens on no port");
  return bound.port;
}

/** Two ends of a connection without TLS. */
export async function socketPair(): Promise<readonly [Socket, Socket]> {
  const arrived = Promise.withResolvers<Socket>();
  const { port, close } = await listening(arrived.resolve);
  const near = connect(port, HOST);
  near.on("error", () => undefined);
  const far = await arrived.promise;
  far.once("close", () => void close());
  return [near, far];
}

/** Two ends of a connection that is cut once so many bytes have gone from the near end to the far one. */
export async function cutPair(after: number): Promise<readonly [Socket, Socket]> {
  const [near, cutNear] = await socketPair();
  const [cutFar, far] = await socketPair();
  let left = after;
  cutFar.pipe(cutNear);
  cutNear.on("data", (chunk: Buffer) => {
    const part = chunk.subarray(0, left);
    if (left === 0) return;
    left -= part.length;
    // What has passed before the cut arrives.
    cutFar.write(part, () => left === 0 && cutFar.end());
  });
  if (after === 0) cutFar.end();
  cutNear.once("close", () => cutFar.destroy());
  cutFar.once("close", () => cutNear.destroy());
  return [near, far];
}

export const sumOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** Lets what waits for sockets and disks have its turn. */
export async function turns(many: number): Promise<void> {
  for (let n = 0; n < many; n++) await turn();
}

/** Any, and other ones each time. */
export const someBytes = (size: number): Buffer => randomBytes(size);

/** Random bytes for a 1 and zeros for a 0, 64 KiB each. */
export const patchwork = (map: string): Buffer =>
  Buffer.concat(
    Array.from(map, (digit) => (digit === "0" ? Buffer.alloc(65_536) : randomBytes(65_536))),
  );
