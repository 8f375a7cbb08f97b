import { drizzle } from "drizzle-orm/node-postgres";
import { v7 } from "uuid";
import { createStaticHostCredentials } from "#adapters/sts.ts";
import { createSealer } from "#adapters/sealer.ts";
import { systemSecrets } from "#adapters/clock.ts";
import { LOOSE_UNPAID_LIMITS, type UnpaidLimits } from "#core/orders/unpaid-limits.ts";
import type { Accounts, LogIns } from "#core/accounts/accounts.ts";
import { createMetricsRegistry, type MetricsRegistry } from "#core/metrics-registry.ts";
import { PLANE_METRICS } from "#core/plane-metrics.ts";
import { BILLING_QUEUES, type Log, type Mail } from "#core/ports.ts";
import { ok } from "#core/result.ts";
import type { ChannelDeps, Deps } from "#commands/deps.ts";
import type { Db } from "#db/client.ts";
import { relayOutbox } from "#commands/messages/relay-outbox.ts";
import { createWholeApi } from "#functions/app.ts";
import { createBillingEventsConsumer } from "#functions/consume-billing-events.ts";
import { createOutboxEventsConsumer } from "#functions/consume-outbox-events.ts";
import { createStripeWebhook } from "#webhooks/stripe.ts";
import { cloneDatabase, type TestDatabase } from "./database.ts";
import { deliverWaiting, recordedQueues, type RecordedQueues } from "./recorded-queues.ts";
import { settableClock, type SettableClock } from "./settable-clock.ts";
import { addStatementSteps, stepped, Steps, withCommitSteps } from "./steps.ts";
import { stripeInProcess, type StripeInProcess } from "./stripe-in-process.ts";

/** The whole control plane over a database of its own, with nothing that moves by itself. */
export type ControlPlane = Readonly<{
  deps: Deps & ChannelDeps;
  database: TestDatabase;
  clock: SettableClock;
  queues: RecordedQueues;
  stripe: StripeInProcess;
  steps: Steps;
  /** The HTTP API, in this process. */
  fetch: (request: Request) => Promise<Response>;
  /** Where Stripe's deliveries come in. */
  webhook: (request: Request) => Promise<Response>;
  /** What was mailed. */
  mails: readonly SentMail[];
  log: RecordedLog;
  metrics: MetricsRegistry<typeof PLANE_METRICS>;
  /** Hands on everything that waits (webhooks, queues, outbox) until nothing moves any more. */
  pump: () => Promise<void>;
  /** The rows of a query, to look at what was stored. */
  rows: (query: string, ...values: unknown[]) => Promise<Record<string, unknown>[]>;
  drop: () => Promise<void>;
}>;

export type SentMail = Parameters<Mail["send"]>[0];

/** What was logged: each line with its event, and the errors apart. */
export type RecordedLog = Log & {
  readonly lines: Record<string, unknown>[];
  readonly errors: Record<string, unknown>[];
};
export function recordedLog(): RecordedLog {
  const lines: RecordedLog["lines"] = [];
  const errors: RecordedLog["errors"] = [];
  return {
    lines,
    errors,
    info: (event, fields) => void lines.push({ event, ...fields }),
    error: (event, fields) => {
      lines.push({ event, ...fields });
      errors.push({ event, ...fields });
    },
  };
}

const noAccounts: Accounts & LogIns = {
  handle: async () => new Response(null, { status: 404 }),
  confirm: () => Promise.reject(new Error("this test has no accounts")),
  setPassword: () => Promise.reject(new Error("this test has no accounts")),
  createAccount: () => Promise.reject(new Error("this test has no accounts")),
  authenticate: async () => ok(undefined),
  createToken: () => Promise.reject(new Error("this test has no accounts")),
  newSession: () => Promise.reject(new Error("this test has no accounts")),
  listTokens: async () => [],
  revokeToken: async () => false,
  revokeAllTokens: async () => undefined,
};

export async function startControlPlane(
  options: {
    connections?: number;
    start?: string;
    /** Loose unless given: most tests are about something else. */
    unpaidLimits?: UnpaidLimits;
    /** Of an installation that signs releases of the agent. */
    releaseKey?: string;
    /** One of staff alone may destroy what is a customer's. */
    oneMayDestroy?: boolean;
    /** What Stripe does with a subscription whose renewal failed to the end. */
    afterLastRetry?: "cancel" | "unpaid" | "past_due";
    /** Who may call the HTTP API; nobody when left out. */
    accounts?: (db: Db) => Accounts & LogIns;
  } = {},
): Promise<ControlPlane> {
  const database = await cloneDatabase(options);
  const clock = settableClock(options.start);
  const log = recordedLog();
  const metrics = createMetricsRegistry(PLANE_METRICS);
  const queues = recordedQueues();
  const steps = new Steps();
  addStatementSteps(database.pool, steps);
  let webhook: (request: Request) => Promise<Response> = async () =>
    new Response(null, { status: 503 });
  const stripe = await stripeInProcess({
    clock,
    log,
    webhook: (request) => webhook(request),
    afterLastRetry: options.afterLastRetry,
  });
  const mails: SentMail[] = [];
  const doors = options.accounts?.(database.db) ?? noAccounts;
  const deps: Deps & ChannelDeps = {
    db: withCommitSteps(drizzle(database.pool, { logger: steps.logger }), steps),
    clock,
    ids: { newId: () => v7() },
    secrets: systemSecrets,
    sealer: createSealer("a secret of the tests, long enough"),
    log,
    metrics,
    payments: stepped(stripe.payments, "payments", steps),
    queues: stepped(queues, "queues", steps),
    mail: stepped({ send: async (mail) => void mails.push(mail) }, "mail", steps),
    accounts: doors,
    hostCredentials: stepped(
      createStaticHostCredentials({ clock, region: "us-east-1" }),
      "credentials",
      steps,
    ),
    settings: {
      publicUrl: "http://berth.test",
      unpaidLimits: options.unpaidLimits ?? LOOSE_UNPAID_LIMITS,
      releaseKey: options.releaseKey,
      oneMayDestroy: options.oneMayDestroy,
      intervals: { resyncSeconds: 60, usageSampleSeconds: 60, usageFlushSeconds: 300 },
    },
  };
  const receive = createStripeWebhook(deps);
  webhook = async (request) => receive.fetch(request);
  const api = createWholeApi({ ...deps, logIns: doors });
  const billing = createBillingEventsConsumer(deps);
  const work = createOutboxEventsConsumer(deps);
  const pump = async () => {
    for (let moved = 1; moved > 0;) {
      moved = (await stripe.standIn.webhooks.deliverDue()).filter(
        (a) => a.outcome === "delivered",
      ).length;
      for (const queue of BILLING_QUEUES)
        moved += await deliverWaiting(queues.waiting[queue], billing);
      moved += await deliverWaiting(queues.waiting["outbox-events"], work);
      moved += (await relayOutbox(deps)).sent;
    }
  };
  return {
    deps,
    database,
    clock,
    queues,
    stripe,
    steps,
    metrics,
    fetch: async (request) => api(request),
    webhook,
    mails,
    log,
    pump,
    rows: async (query, ...values) => (await database.pool.query(query, values)).rows,
    drop: async () => {
      await stripe.standIn.close();
      await database.drop();
    },
  };
}
