import type { ServerType } from "@hono/node-server";
import { closeServer, listen } from "../listen.ts";
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

/** Stripe does not publish its own; a receiver is meant to answer well under a second. */
const DELIVERY_TIMEOUT_MS = 10_000;

/** Serves a stand-in on loopback, with real deliveries under way. */
export async function serveStripeStandIn(options: ServeOptions): Promise<ServedStandIn> {
  let handle: (request: Request) => Promise<Response> = async () =>
    new Response("starting", { status: 503 });
  const server = await listen(async (request) => handle(request), options.port);
  try {
    const url = `http://127.0.0.1:${portOf(server)}`;
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
      await closeServer(server);
      await standIn.close();
    };
    return { url, standIn, close };
  } catch (error) {
    await closeServer(server);
    throw error;
  }
}

function portOf(server: ServerType): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on a port");
  return address.port;
}
