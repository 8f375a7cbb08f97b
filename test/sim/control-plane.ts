import { createHash } from "node:crypto";
import { drizzle } from "drizzle-orm/node-postgres";
import type { ChannelDeps, Deps } from "#commands/deps.ts";
import { NO_METRICS } from "#core/metrics.ts";
import { LOOSE_UNPAID_LIMITS, UNPAID_LIMITS } from "#core/orders/unpaid-limits.ts";
import type { PaymentProvider } from "#core/billing/price-changes.ts";
import { openPool } from "#db/open-pool.ts";
import { createWholeApi } from "#functions/app.ts";
import { createBillingEventsConsumer } from "#functions/consume-billing-events.ts";
import { createOutboxEventsConsumer } from "#functions/consume-outbox-events.ts";
import { createSweep } from "#functions/sweep.ts";
import { createStripeWebhook } from "#webhooks/stripe.ts";
import { simAccounts } from "./accounts.ts";
import { DbSocket, type DbServer } from "./db-socket.ts";
import type { Serve } from "./network.ts";
import { runProcess, type Death } from "./process.ts";
import type { Invoke, SimQueues } from "./queues.ts";
import type { Sim } from "./sim.ts";

/** Instances of the API's Lambda, each with caches of its own. */
const INSTANCES = 2;
const SWEEP_EVERY_MS = 300_000;
/** What agents are told; slower than in production, so that an hour costs fewer steps. */
const INTERVALS = { resyncSeconds: 300, usageSampleSeconds: 150, usageFlushSeconds: 300 };
/** As `cdk/berth-stack.ts` limits the Lambdas. */
const TIME_LIMITS_MS = { api: 28_000, webhook: 15_000, consumer: 60_000, sweep: 120_000 };
/** More than are ever open at once: a killed process never gives its connection back. */
const MOST_CONNECTIONS = 500;

export type ControlPlane = Readonly<{
  deps: Deps & ChannelDeps;
  api: Serve;
  webhook: Serve;
  /** Runs all sweeps once, as the schedule does. */
  sweep: () => Promise<void>;
  /** When the last sweep began that ended well. */
  swept: { began: number | null };
  /** The schedule is disabled, by an operator. */
  sweeps: { stopped: boolean };
  /** Sweeps again and again from now on. */
  startSweeping: () => void;
  /** All that was ever sent. */
  mails: readonly Mailed[];
}>;
export type Mailed = Readonly<{ id: string; at: number }>;

/** As long and of the letters that real ones have, and the same in every run of a seed. */
const secretOf = (text: string, bytes: number): string =>
  createHash("sha512").update(text).digest().subarray(0, bytes).toString("base64url");

/** One that was to be killed and had ended before it was, was not killed. */
function countKill({ faults }: Sim, of: Death): void {
  if (of === "killed") faults.count("lambda.killed");
}

/** Runs `work` as a Lambda that may be killed at anything it does. */
export function createInvoker(sim: Sim): Invoke {
  return (name, work) =>
    new Promise((resolve, reject) => {
      const limitMs = TIME_LIMITS_MS.consumer;
      const livesFor = sim.faults.draws("lambda.killed") ? sim.faults.dice.int(1, 14) : null;
      const died = (of: Death) => {
        countKill(sim, of);
        sim.scheduler.trace(`${name} killed`);
        resolve(undefined);
      };
      runProcess(sim.scheduler, { name, livesFor, limitMs, died }, work).then(resolve, reject);
    });
}

export function createControlPlane(
  sim: Sim,
  server: DbServer,
  ports: { queues: SimQueues; payments: () => PaymentProvider; strictWithNewcomers: boolean },
): ControlPlane {
  const { scheduler, log, ids } = sim;
  const pool = openPool(
    {
      stream: () => new DbSocket(server),
      max: MOST_CONNECTIONS,
      idleTimeoutMillis: 0,
      user: "sim",
    },
    () => undefined,
  );
  const mails: Mailed[] = [];
  const deps: Deps & ChannelDeps = {
    db: drizzle(pool),
    clock: scheduler.clock,
    ids,
    secrets: { newSecret: (bytes) => secretOf(ids.newId(), bytes) },
    sealer: { seal: (text) => text, open: (sealed) => sealed },
    log,
    metrics: NO_METRICS,
    get payments() {
      return ports.payments();
    },
    queues: ports.queues,
    mail: {
      send: async (mail) => {
        await scheduler.turn("mail");
        mails.push({ id: mail.id, at: scheduler.now().getTime() });
      },
    },
    accounts: simAccounts,
    hostCredentials: {
      forQueue: async () => ({
        region: "us-east-1",
        accessKeyId: "simulated",
        secretAccessKey: "simulated",
        sessionToken: null,
        expiresAt: new Date(scheduler.now().getTime() + 3_600_000),
      }),
    },
    settings: {
      publicUrl: "http://berth.test",
      intervals: INTERVALS,
      // There is one of staff. What takes two is in test/db/vms/destroy-by-two.test.ts.
      oneMayDestroy: true,
      unpaidLimits: ports.strictWithNewcomers
        ? UNPAID_LIMITS
        : { ...LOOSE_UNPAID_LIMITS, ofAccount: UNPAID_LIMITS.ofAccount },
    },
  };
  const apis = Array.from({ length: INSTANCES }, () => createWholeApi(deps));
  const runSweep = createSweep(deps);
  const billing = createBillingEventsConsumer(deps);
  const consumers = {
    purchases: billing,
    "billing-events": billing,
    "outbox-events": createOutboxEventsConsumer(deps),
  };
  ports.queues.serve(consumers);

  let count = 0;
  /** A request is answered, or its Lambda is killed and the connection with it. */
  const lambda =
    (name: "api" | "webhook", handle: (request: Request) => Response | Promise<Response>): Serve =>
    (request) =>
      new Promise((resolve, reject) => {
        const livesFor = sim.faults.draws("lambda.killed") ? sim.faults.dice.int(1, 14) : null;
        const label = `${name}#${++count}`;
        const died = (of: Death) => {
          countKill(sim, of);
          scheduler.trace(`${label} killed`);
          reject(new TypeError("the connection was closed (simulated)"));
        };
        const limitMs = TIME_LIMITS_MS[name];
        runProcess(scheduler, { name: label, livesFor, limitMs, died }, async () =>
          handle(request),
        ).then(resolve, reject);
      });
  const pickApi = sim.dice.fork("instances");

  const swept: ControlPlane["swept"] = { began: null };
  const sweep = () =>
    new Promise<void>((resolve) => {
      const livesFor = sim.faults.draws("lambda.killed") ? sim.faults.dice.int(1, 20) : null;
      const process = {
        name: `sweep#${++count}`,
        livesFor,
        limitMs: TIME_LIMITS_MS.sweep,
        died: (of: Death) => {
          countKill(sim, of);
          resolve();
        },
      };
      const began = scheduler.now().getTime();
      const ended = () => {
        swept.began = began;
        resolve();
      };
      runProcess(scheduler, process, runSweep).then(ended, (error: unknown) => {
        log.error("sweep.failed", { error });
        resolve();
      });
    });
  const sweeps = { stopped: false };
  const startSweeping = () => {
    scheduler.after(SWEEP_EVERY_MS, "schedule", () => {
      startSweeping();
      if (!sweeps.stopped) void sweep();
    });
  };
  return {
    deps,
    api: lambda("api", (request) => pickApi.pick(apis)(request)),
    // An instance of its own for each: one that is killed takes no other delivery with it, as on Lambda.
    webhook: lambda("webhook", (request) => createStripeWebhook(deps).fetch(request)),
    sweep,
    swept,
    sweeps,
    startSweeping,
    mails,
  };
}
