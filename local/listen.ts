import { IncomingMessage, Server } from "node:http";
import { setImmediate } from "node:timers/promises";
import { serve, type ServerType } from "@hono/node-server";
import { takeEveryMethod } from "./every-method.ts";

const HOST = "127.0.0.1";
/** How long (as nginx's `lingering_time`) and how much a client may go on sending after it was answered. */
const LINGER: Linger = { ms: 30_000, bytes: 64 * 1024 * 1024 };

type Linger = Readonly<{ ms: number; bytes: number }>;
type Fetch = (request: Request) => Response | Promise<Response>;

/** Serves HTTP on loopback; port 0 takes any free one. Whoever sends a body that nobody reads is answered whole, and whatever the
 * method is, `fetch` answers. */
export const listen = (fetch: Fetch, port: number, linger = LINGER): Promise<ServerType> =>
  new Promise((resolve, reject) => {
    const server = serve(
      {
        fetch: async (request, { incoming }) =>
          afterUnreadBody(await fetch(request), incoming, linger),
        port,
        hostname: HOST,
      },
      () => {
        server.off("error", reject);
        resolve(server);
      },
    );
    if (server instanceof Server) takeEveryMethod(server, fetch);
    server.on("error", reject);
  });

/** Stops listening and drops keep-alive connections, which would hold the process up. */
export const closeServer = (server: ServerType): Promise<void> =>
  new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
    if ("closeAllConnections" in server) server.closeAllConnections();
  });

/**
 * An answer to a request whose body has not arrived whole closes the connection, and says so (RFC 9112, 9.6), or the
 * client's next request would go out on a connection that is about to die: node-server ends it half a second later.
 * The answer goes out at once, but its end waits until the client has stopped sending: closing over bytes that nobody
 * has read resets the connection, and the client may lose the answer.
 */
async function afterUnreadBody(
  response: Response,
  incoming: unknown,
  linger: Linger,
): Promise<Response> {
  if (!(incoming instanceof IncomingMessage) || incoming.readableEnded) return response;
  // A body that came in one piece with its head is there when this turn of the event loop is over.
  if (!incoming.complete) await setImmediate();
  const arrived = incoming.complete;
  const drained = drain(incoming, linger);
  if (arrived) return response;
  const headers = new Headers(response.headers);
  headers.set("connection", "close");
  const { status } = response;
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (response.body === null) {
    await drained;
    return new Response(null, { status, headers });
  }
  headers.set("content-length", String(bytes.length));
  const body = new ReadableStream<Uint8Array>({
    start: async (controller) => {
      controller.enqueue(bytes);
      await drained;
      controller.close();
    },
  });
  return new Response(body, { status, headers });
}

/** Throws away what is left of a body. Resolves at its end, when the client is gone, or when it was enough. */
const drain = (incoming: IncomingMessage, linger: Linger): Promise<void> =>
  new Promise((resolve) => {
    let bytes = 0;
    const done = () => {
      clearTimeout(timer);
      incoming.off("data", count);
      incoming.off("end", done);
      incoming.off("error", done);
      incoming.off("close", done);
      resolve();
    };
    const count = (chunk: Uint8Array) => {
      bytes += chunk.length;
      if (bytes > linger.bytes) done();
    };
    const timer = setTimeout(done, linger.ms);
    // Whoever had begun to read (a body limit, say) would stop the flow when nobody takes its chunks.
    incoming.removeAllListeners("data");
    incoming.on("data", count);
    incoming.on("end", done);
    incoming.on("error", done);
    incoming.on("close", done);
    incoming.resume();
  });
