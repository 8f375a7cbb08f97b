import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import { Hono } from "hono";
import pg from "pg";
import { LOOSE_UNPAID_LIMITS } from "#core/orders/unpaid-limits.ts";
import type { LogIns } from "#core/accounts/accounts.ts";
import { createAccounts } from "#commands/accounts/check-access.ts";
import { createLogIns } from "#adapters/log-ins.ts";
import { createSessionCookies } from "#adapters/session-cookies.ts";
import { systemClock, systemIds, systemSecrets } from "#adapters/clock.ts";
import { createSealer } from "#adapters/sealer.ts";
import { createSmtpMail } from "#adapters/smtp.ts";
import { createSqsQueues } from "#adapters/sqs.ts";
import { createStripePayments } from "#adapters/stripe.ts";
import { createStaticHostCredentials } from "#adapters/sts.ts";
import type { ChannelDeps, Deps, Settings } from "#commands/deps.ts";
import { PROVIDER_EVENTS } from "#core/billing/payments.ts";
import { createMetricsRegistry } from "#core/metrics-registry.ts";
import { PLANE_METRICS } from "#core/plane-metrics.ts";
import type { Currency } from "#core/money.ts";
import type { Log } from "#core/ports.ts";
import { migrateDatabase } from "#db/migrate.ts";
import { ensureLogins, urlAs } from "#db/logins.ts";
import { openPool } from "#db/open-pool.ts";
import { spendCode } from "#db/accounts/spent-codes.ts";
import * as accountTables from "#db/schema/accounts.ts";
import { createWholeApi } from "#functions/app.ts";
import { createBillingEventsConsumer } from "#functions/consume-billing-events.ts";
import { createOutboxEventsConsumer } from "#functions/consume-outbox-events.ts";
import { createSweep } from "#functions/sweep.ts";
import { DriverError } from "#host-agent/drivers/driver.ts";
import { CorruptState } from "#host-agent/state/saved.ts";
import { createStripeWebhook } from "#webhooks/stripe.ts";
import { startAgent, type LocalHost, type RunningAgent } from "./agents.ts";
import { createLocalClock, type LocalClock } from "./clock.ts";
import { queuesOnClock } from "./clock-queues.ts";
import { localControl } from "./control.ts";
import { SQS_REGION, startEmbeddedSqs, type EmbeddedSqs } from "./embedded-sqs.ts";
import { closeServer, listen } from "./listen.ts";
import { localMetrics } from "./metrics.ts";
import { createMailFolder } from "./mail.ts";
import { startPostgres } from "./postgres.ts";
import { startQueueWorker, type QueueWorker } from "./queue-worker.ts";
import { CorruptFolder, loadSaved, save } from "./saved-secrets.ts";
import { joinTokenFor, seedCatalogue, seedPeople } from "./seed.ts";
import { serveStripeStandIn, type ServedStandIn } from "./stripe/serve.ts";
import { unfinishedWork } from "./unfinished-work.ts";

export type StackOptions = Readonly<{
  folder: string;
  ports: { api: number; stripe: number; sqs: number; postgres: number };
  hosts: readonly LocalHost[];
  log: (clock: LocalClock) => Log;
  intervals: Settings["intervals"];
  /** Whose signature agents' releases bear; left out: they are told of none. */
  releaseKey?: string | undefined;
  /** One member of staff alone may destroy what is a customer's; two when left out. */
  oneMayDestroy?: boolean;
  /** What is ordered in where nobody says; the usual one when left out. */
  currency?: Currency | undefined;
  sweepSeconds: number;
  /** For demos and tests: quicker, and gone with the folder. */
  throwaway: boolean;
  /** Who takes mail; it is laid into a folder when this is left out. */
  smtp?: { url: string; from: string } | undefined;
  /** Aborted: the start is given up at its next step, and undone. */
  signal?: AbortSignal;
  /** An agent ended although nobody stopped it. */
  agentEnded?: (host: string, error: unknown) => void;
}>;

export type Stack = Readonly<{
  apiUrl: string;
  stripeUrl: string;
  sqsUrl: string;
  /** With the rights of the product. */
  databaseUrl: string;
  /** With those of the database's owner. */
  ownerUrl: string;
  tokens: { customer: string; staff: string; integration: string };
  deps: Deps & ChannelDeps;
  logIns: LogIns;
  clock: LocalClock;
  sqs: EmbeddedSqs;
  stripe: ServedStandIn;
  agents: readonly RunningAgent[];
  sweep: () => Promise<void>;
  stop: () => Promise<void>;
}>;

const DATABASE = "berth";

/**
 * The whole product on this machine (design §8). Whatever was started is stopped again when a later part does not
 * start; every failure is one clear line.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const undo: (() => Promise<unknown>)[] = [];
  const stopAll = async () => {
    const failures: unknown[] = [];
    for (const stop of undo.splice(0).toReversed())
      await stop().catch((error: unknown) => failures.push(error));
    if (failures.length > 0)
      throw new AggregateError(
        failures,
        `the stack did not stop cleanly: ${failures.map(String).join("; ")}`,
      );
  };
  try {
    return await start(options, undo, stopAll);
  } catch (error) {
    await stopAll().catch(() => undefined);
    throw error;
  }
}

async function start(
  options: StackOptions,
  undo: (() => Promise<unknown>)[],
  stopAll: () => Promise<void>,
): Promise<Stack> {
  const { folder, ports } = options;
  const goOn = () => options.signal?.throwIfAborted();
  const saved = await loadSaved(folder);
  const clock = createLocalClock(saved.clockOffsetMs);
  const log = options.log(clock);

  const postgres = await startPostgres({
    folder: path.join(folder, "postgres"),
    port: ports.postgres,
    password: saved.databasePassword,
    fresh: saved.tokens === null,
    throwaway: options.throwaway,
  });
  undo.push(postgres.stop);
  goOn();
  await ensureDatabase(postgres.url("postgres"));
  const ownerUrl = postgres.url(DATABASE);
  await migrateDatabase(ownerUrl);
  // As on AWS, the product is not the database's owner (ADR 0022).
  const login = { user: "berth_local", password: saved.functionsPassword };
  await ensureLogins(ownerUrl, [login]);
  const databaseUrl = urlAs(ownerUrl, login);
  const pool = openPool({ connectionString: databaseUrl, max: 16 }, (error) =>
    log.error("database.connection_lost", { error }),
  );
  undo.push(() => pool.end());
  const db = drizzle(pool);

  goOn();
  const sqs = await startEmbeddedSqs(ports.sqs);
  undo.push(sqs.stop);

  const apiUrl = `http://127.0.0.1:${ports.api}`;
  const stripe = await serveStripeStandIn({
    port: ports.stripe,
    clock,
    apiKey: saved.stripeKey,
    webhook: {
      url: `${apiUrl}/webhooks/stripe`,
      secret: saved.webhookSecret,
      enabledEvents: PROVIDER_EVENTS,
    },
    stateFile: options.throwaway ? undefined : path.join(folder, "stripe.json"),
    log,
  });
  undo.push(stripe.close);
  goOn();

  const held = queuesOnClock(
    createSqsQueues({ client: sqs.clientConfig, urls: sqs.urls }),
    clock,
    log,
  );
  undo.push(async () => held.stop());
  const metrics = createMetricsRegistry(PLANE_METRICS);
  const parts = { db, clock, ids: systemIds, secrets: systemSecrets, log };
  const deps: Deps & ChannelDeps = {
    ...parts,
    metrics,
    sealer: createSealer(saved.sealingSecret),
    payments: createStripePayments({
      apiKey: saved.stripeKey,
      webhookSecret: saved.webhookSecret,
      origin: new URL(stripe.url),
      now: clock.now,
    }),
    queues: held.queues,
    mail: options.smtp
      ? createSmtpMail(options.smtp)
      : createMailFolder(path.join(folder, "mail"), clock),
    accounts: createAccounts({
      ...parts,
      sessionClock: systemClock,
      cookies: createSessionCookies({ secret: saved.authSecret, secure: false }),
    }),
    hostCredentials: createStaticHostCredentials({ clock, region: SQS_REGION }),
    settings: {
      publicUrl: apiUrl,
      unpaidLimits: LOOSE_UNPAID_LIMITS,
      intervals: options.intervals,
      releaseKey: options.releaseKey,
      oneMayDestroy: options.oneMayDestroy,
      currency: options.currency,
    },
  };
  const logIns = createLogIns({
    ...parts,
    tables: accountTables,
    spendCode: (accountId, code) => spendCode(db, accountId, code, systemClock.now()),
    secret: saved.authSecret,
    baseUrl: apiUrl,
    trustedOrigins: [apiUrl],
    production: false,
  });
  const tokens = saved.tokens ?? (await seedPeople(deps, logIns));
  if (!saved.tokens) await save(folder, { ...saved, tokens });
  const { locationId } = await seedCatalogue(deps);

  const workers = startWorkers(deps, sqs);
  undo.push(() => Promise.all(workers.map((w) => w.stop())));
  const sweep = createSweep(deps);
  const sweeping = new AbortController();
  const sweeper = sweepEvery(options.sweepSeconds, deps, sweep, sweeping.signal);
  undo.push(async () => {
    sweeping.abort();
    await sweeper;
  });

  const agents: RunningAgent[] = [];
  const app = new Hono();
  app.route("/", createStripeWebhook(deps));
  app.route(
    "/",
    localControl({
      clock,
      sweep,
      held,
      stripe: stripe.standIn,
      workers,
      agents: () => agents,
      unfinished: () => unfinishedWork(db, sqs),
      keepOffset: async (clockOffsetMs) => save(folder, { ...saved, tokens, clockOffsetMs }),
    }),
  );
  app.route("/", localMetrics(deps, metrics));
  app.mount("/", createWholeApi({ ...deps, logIns }));
  const server = await listen(app.fetch, ports.api);
  undo.push(() => closeServer(server));

  for (const host of options.hosts) {
    goOn();
    const home = path.join(folder, "hosts", host.name);
    await mkdir(home, { recursive: true });
    const agent = await startAgent({
      host,
      folder: home,
      apiUrl,
      clock,
      ids: systemIds,
      log,
      mustSee: true,
      ended: (error) => options.agentEnded?.(host.name, error),
      joinToken: () => joinTokenFor(deps, host.name, locationId),
    }).catch((cause: unknown) => {
      if (cause instanceof CorruptState || cause instanceof DriverError)
        throw new CorruptFolder(
          `host ${host.name} does not start on ${home}: ${cause.message}; or move ${folder} away to begin anew`,
          { cause },
        );
      throw cause;
    });
    agents.push(agent);
    undo.push(agent.stop);
  }

  const stack: Stack = {
    apiUrl,
    stripeUrl: stripe.url,
    sqsUrl: sqs.url,
    databaseUrl,
    ownerUrl,
    tokens,
    deps,
    logIns,
    clock,
    sqs,
    stripe,
    agents,
    sweep,
    stop: stopAll,
  };
  const stackFile = path.join(folder, "stack.json");
  await writeFile(
    stackFile,
    JSON.stringify(
      {
        apiUrl,
        stripeUrl: stripe.url,
        sqsUrl: sqs.url,
        databaseUrl,
        tokens,
        pid: process.pid,
      },
      null,
      2,
    ),
    { mode: 0o600 },
  );
  undo.push(() => rm(stackFile, { force: true }));
  return stack;
}

const startWorkers = (deps: Deps, sqs: EmbeddedSqs): readonly QueueWorker[] => {
  const worker = (queue: keyof EmbeddedSqs["urls"], handler: QueueHandler, parallel: number) =>
    startQueueWorker({
      client: sqs.client,
      queueUrl: sqs.urls[queue],
      handler,
      clock: deps.clock,
      log: deps.log,
      parallel,
    });
  const billing = createBillingEventsConsumer(deps);
  return [
    worker("purchases", billing, 20),
    worker("billing-events", billing, 20),
    worker("outbox-events", createOutboxEventsConsumer(deps), 20),
  ];
};
type QueueHandler = ReturnType<typeof createBillingEventsConsumer>;

async function sweepEvery(
  seconds: number,
  deps: Deps,
  sweep: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await deps.clock.sleep(seconds * 1000, signal).catch(() => undefined);
    if (signal.aborted) return;
    await sweep().catch((error: unknown) => deps.log.error("sweep.failed", { error }));
  }
}

async function ensureDatabase(adminUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const found = await client.query("select 1 from pg_database where datname = $1", [DATABASE]);
    if (found.rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}
