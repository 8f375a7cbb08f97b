import { serve, type ServerType } from "@hono/node-server";
import { randomIds } from "./ids.ts";
import { createStripeStandIn, type StandInOptions, type StripeStandIn } from "./stand-in.ts";

export type ServeOptions = Omit<StandInOptions, "ids" | "publicUrl" | "webhook"> & {
  /** 0: any free one. */
  port: number;
  ids?: StandInOptions["ids"];
  webhook?:
    | {
        url: string;
        secret: string;
        enabledEvents?: readonly string[];
        retryDelaysMs?: readonly number[];
      }
    | undefined;
};
export type ServedStandIn = Readonly<{
  /** Where the client, browsers and `/_local` callers find it. */
  url: string;
  standIn: StripeStandIn;
  close: () => Promise<void>;
}>;

const HOST = "127.0.0.1";
/** Stripe does not publish its own; a receiver is meant to answer well under a second. */
const DELIVERY_TIMEOUT_MS = 10_000;

/** Serves a stand-in on loopback, with real deliveries under way. */
export async function serveStripeStandIn(options: ServeOptions): Promise<ServedStandIn> {
  let handle: (request: Request) => Promise<Response> = async () =>
    new Response("starting", { status: 503 });
  const server = await listening(options.port, async (request) => handle(request));
  try {
    const url = `http://${HOST}:${portOf(server)}`;
    const standIn = await createStripeStandIn({
      ...options,
      ids: options.ids ?? randomIds(),
      publicUrl: url,
      webhook:
        options.webhook === undefined
          ? undefined
          : {
              ...options.webhook,
              deliver: async (request) =>
                fetch(request, { signal: AbortSignal.timeout(DELIVERY_TIMEOUT_MS) }),
            },
    });
    handle = standIn.fetch;
    standIn.start();
    const close = async (): Promise<void> => {
      await ended(server);
      await standIn.close();
    };
    return { url, standIn, close };
  } catch (error) {
    await ended(server);
    throw error;
  }
}

const listening = async (
  port: number,
  fetch: (request: Request) => Promise<Response>,
): Promise<ServerType> =>
  new Promise((resolve, reject) => {
    const server = serve({ fetch, port, hostname: HOST }, () => {
      server.off("error", reject);
      resolve(server);
    });
    server.on("error", reject);
  });

function portOf(server: ServerType): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on a port");
  return address.port;
}

/** Stops listening and drops idle keep-alive connections, which would hold the process up. */
const ended = async (server: ServerType): Promise<void> =>
  new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
    if ("closeAllConnections" in server) server.closeAllConnections();
  });
