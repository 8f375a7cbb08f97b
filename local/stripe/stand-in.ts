import { Hono } from "hono";
import type { Clock, Log } from "#core/ports.ts";
import { createApi } from "./api.ts";
import { CallFaults } from "./call-faults.ts";
import { createControl } from "./control.ts";
import { nextDueAt, runDue } from "./due.ts";
import { createHostedPages } from "./hosted-pages.ts";
import { IdempotencyKeys } from "./idempotency.ts";
import type { StripeIds } from "./ids.ts";
import { Pump } from "./pump.ts";
import { Sandbox } from "./sandbox.ts";
import { readStateFile, StateFile } from "./state-file.ts";
import type { Store } from "./store.ts";
import { RETRY_DELAYS_MS } from "./delivery.ts";
import { WebhookQueue } from "./webhooks.ts";

/*
 * A stateful stand-in for Stripe, for machines that have no Stripe account. It speaks the pinned version of the API to
 * the official client and is as strict as the real one where it can be; what it does not know it refuses. Every call and
 * webhook of the unit and db suites is held against Stripe's own OpenAPI (`test/harness/judged-stripe.ts`). Where it
 * differs on purpose:
 * - a call may be refused although Stripe would take it (metered prices, automatic tax, pauses after trials, raw card data …);
 * - balance transactions are not kept (`balance_transaction` is null, as it first is at Stripe with asynchronous capture);
 * - Checkout counts its own payment as attaching the card, so 4000 0000 0000 0341 pays there and fails at renewals;
 * - retries of payments and of webhooks follow fixed tables, because Stripe publishes none.
 */

export type StandInOptions = Readonly<{
  clock: Clock;
  ids: StripeIds;
  /** The one secret key that is accepted. */
  apiKey: string;
  /** Origin of Checkout pages and hosted invoices, without a slash at the end. */
  publicUrl: string;
  /** Where events are delivered; absent: nowhere, and the Events API alone tells them. */
  webhook?:
    | {
        url: string;
        secret: string;
        deliver: (request: Request) => Promise<Response>;
        /** The types that the endpoint asked for; absent: all of them. */
        enabledEvents?: readonly string[];
        retryDelaysMs?: readonly number[];
      }
    | undefined;
  /** Goes on from this file, and writes to it. */
  stateFile?: string | undefined;
  log: Log;
  afterLastRetry?: "cancel" | "unpaid" | "past_due";
  renewalDraftSeconds?: number;
}>;

export type StripeStandIn = Readonly<{
  /** The whole stand-in as one function: API, pages and `/_local`. */
  fetch: (request: Request) => Promise<Response>;
  /** Begins to deliver webhooks and to do what time brings about, by itself. A simulator does not call it. */
  start: () => void;
  /** Ends all of it and writes the state file. */
  close: () => Promise<void>;
  /** Deliveries, for those who send them in an order of their own. */
  webhooks: WebhookQueue;
  /** Does everything due by now (the clock's), and says how much that was. */
  runDue: () => number;
  /** When time brings about the next thing, in Unix seconds; undefined: nothing waits. */
  nextDueAt: () => number | undefined;
  /** All objects, to look at. */
  store: Pick<Store, "get" | "all">;
}>;

const HOUR = 3600;

/** Makes a stand-in. Throws `CorruptStateFile` when its state file cannot be read. */
export async function createStripeStandIn(options: StandInOptions): Promise<StripeStandIn> {
  const { clock, log } = options;
  const sandbox = new Sandbox({
    clock,
    ids: options.ids,
    settings: {
      publicUrl: options.publicUrl,
      afterLastRetry: options.afterLastRetry ?? "past_due",
      renewalDraftSeconds: options.renewalDraftSeconds ?? HOUR,
    },
  });
  const keys = new IdempotencyKeys();
  const callFaults = new CallFaults();
  const endpoint =
    options.webhook === undefined ? null : { retryDelaysMs: RETRY_DELAYS_MS, ...options.webhook };
  const queue = new WebhookQueue({ sandbox, clock, endpoint });
  const saver = await restored(options, sandbox, keys, queue);
  const catchUp = (): number => runDue(sandbox, sandbox.clockNow(), (id) => queue.waitsFor(id));
  const pump = new Pump({
    queue,
    clock,
    log,
    runDue: () => {
      catchUp();
      const next = nextDueAt(sandbox);
      return next === undefined ? undefined : next * 1000;
    },
  });
  const enabled = options.webhook?.enabledEvents;
  sandbox.onEvent((event) => {
    if (enabled === undefined || enabled.includes(event.type)) queue.enqueue(event);
  });
  sandbox.store.onChange(() => saver?.changed());
  keys.onSave(() => saver?.changed());
  // Somebody may have moved the clock under a pump that sleeps.
  const runDueNow = (): number => {
    const done = catchUp();
    pump.wake();
    return done;
  };
  queue.onChange(() => {
    saver?.changed();
    pump.wake();
  });

  const app = new Hono();
  app.route(
    "/",
    createControl({ publicUrl: options.publicUrl, sandbox, queue, callFaults, runDue: runDueNow }),
  );
  app.route("/", createApi({ sandbox, keys, callFaults, apiKey: options.apiKey, catchUp, log }));
  app.route("/", createHostedPages({ sandbox, catchUp }));
  return {
    fetch: async (request) => app.fetch(request),
    start: () => pump.start(),
    close: async () => {
      await pump.close();
      await saver?.close();
    },
    webhooks: queue,
    runDue: runDueNow,
    nextDueAt: () => nextDueAt(sandbox),
    store: sandbox.store,
  };
}

async function restored(
  options: StandInOptions,
  sandbox: Sandbox,
  keys: IdempotencyKeys,
  queue: WebhookQueue,
): Promise<StateFile | null> {
  if (options.stateFile === undefined) return null;
  const saved = await readStateFile(options.stateFile);
  if (saved !== null) {
    sandbox.store.load(saved.objects);
    keys.load(saved.answers);
    queue.load(saved.webhooks);
  }
  return new StateFile({
    file: options.stateFile,
    clock: options.clock,
    log: options.log,
    capture: () => ({
      objects: sandbox.store.dump(),
      answers: keys.dump(),
      webhooks: queue.dump(),
    }),
  });
}
