import { createHash } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createServer } from "node:tls";
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "#adapters/clock.ts";
import { createMoveServer } from "#host-agent/moves/channel.ts";
import { receiveDisk } from "#host-agent/moves/receive-disk.ts";
import { Given, HOST, TLS, type Said } from "./bench-move-words.ts";

/* The receiving host of `npm run bench:move`, in a thread of its own as it would be on a machine of its own. */

const { by, moveId, key, path } = Given.parse(workerData);
const say = (said: Said) => parentPort?.postMessage(said);
const { signal } = new AbortController();

/** By Node's own TLS, hash and file, and nothing else; flushed, as a disk must be before its source is given up. */
async function receiveBarely(): Promise<void> {
  const server = createServer({ ...TLS, pskCallback: () => key }, (socket) => {
    const hash = createHash("sha256");
    socket.on("data", (chunk: Buffer) => hash.update(chunk));
    pipeline(socket, createWriteStream(path, { flush: true })).then(
      () => {
        say({ sha256: hash.digest("hex") });
        server.close();
      },
      (error: unknown) => {
        throw error;
      },
    );
  });
  server.listen(0, HOST);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens on no port");
  say({ port: address.port });
}

async function receiveByBerth(): Promise<void> {
  const log = { info: () => undefined, error: () => undefined };
  const server = await createMoveServer({
    listen: { host: HOST, port: 0 },
    keyOf: () => key,
    handlerOf: () => async (channel) => {
      const disk = {
        channel,
        path,
        attempt: moveId,
        mostBytes: 2 ** 40,
        progress: () => undefined,
      };
      const { sha256 } = await receiveDisk({ ...disk, clock: systemClock, signal });
      say({ sha256 });
      void server.close();
    },
    log,
    clock: systemClock,
    signal,
  });
  say({ port: server.port });
}

await (by === "floor" ? receiveBarely() : receiveByBerth());
