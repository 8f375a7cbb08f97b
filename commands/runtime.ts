import { drizzle } from "drizzle-orm/node-postgres";
import { z } from "zod";
import { createAccounts } from "#adapters/accounts.ts";
import { systemClock, systemIds, systemSecrets } from "#adapters/clock.ts";
import { createLog } from "#adapters/log.ts";
import { createSealer } from "#adapters/sealer.ts";
import { readSecret } from "#adapters/secrets.ts";
import { createSqsQueues } from "#adapters/sqs.ts";
import { createStripePayments } from "#adapters/stripe.ts";
import { createStsHostCredentials } from "#adapters/sts.ts";
import type { Clock, Log } from "#core/ports.ts";
import { openPool } from "#db/open-pool.ts";
import * as accountTables from "#db/schema/accounts.ts";
import type { Deps } from "./deps.ts";

/** What a Lambda is told by its environment. Secrets come by ARN, never by value. */
export const Environment = z.object({
  AWS_REGION: z.string(),
  BERTH_SERVICE: z.string().default("berth"),
  BERTH_PUBLIC_URL: z.url(),
  BERTH_DATABASE_SECRET_ARN: z.string(),
  BERTH_STRIPE_SECRET_ARN: z.string(),
  BERTH_AUTH_SECRET_ARN: z.string(),
  BERTH_SEALING_SECRET_ARN: z.string(),
  BERTH_BILLING_EVENTS_URL: z.url(),
  BERTH_OUTBOX_EVENTS_URL: z.url(),
  BERTH_HOST_ROLE_ARN: z.string(),
  /** Where Stripe is spoken to, when that is not Stripe: as `AWS_ENDPOINT_URL` is for AWS. No stage sets it. */
  BERTH_STRIPE_API_URL: z.url().optional(),
});
/** As RDS keeps it. */
const DatabaseSecret = z.object({
  host: z.string(),
  port: z.coerce.number(),
  username: z.string(),
  password: z.string(),
  dbname: z.string(),
});
const StripeSecret = z.object({ apiKey: z.string(), webhookSecret: z.string() });

const INTERVALS = { resyncSeconds: 60, usageSampleSeconds: 60, usageFlushSeconds: 300 };

async function createRuntime(): Promise<Deps> {
  const env = Environment.parse(process.env);
  const [database, stripe, authSecret, sealingSecret] = await Promise.all([
    readSecret(env.BERTH_DATABASE_SECRET_ARN).then((s) => DatabaseSecret.parse(JSON.parse(s))),
    readSecret(env.BERTH_STRIPE_SECRET_ARN).then((s) => StripeSecret.parse(JSON.parse(s))),
    readSecret(env.BERTH_AUTH_SECRET_ARN),
    readSecret(env.BERTH_SEALING_SECRET_ARN),
  ]);
  const log = createLog(env.BERTH_SERVICE);
  const pool = openPool(
    {
      host: database.host,
      port: database.port,
      user: database.username,
      password: database.password,
      database: database.dbname,
      ssl: true,
      // One Lambda instance serves one request at a time; the second connection is for reads beside it.
      max: 2,
      connectionTimeoutMillis: 5_000,
      statement_timeout: 10_000,
    },
    (error) => log.error("database.connection_lost", { error }),
  );
  const db = drizzle(pool);
  return {
    db,
    clock: systemClock,
    ids: systemIds,
    secrets: systemSecrets,
    sealer: createSealer(sealingSecret),
    log,
    payments: createStripePayments({
      apiKey: stripe.apiKey,
      webhookSecret: stripe.webhookSecret,
      origin:
        env.BERTH_STRIPE_API_URL === undefined ? undefined : new URL(env.BERTH_STRIPE_API_URL),
      now: systemClock.now,
    }),
    queues: createSqsQueues({
      urls: {
        "billing-events": env.BERTH_BILLING_EVENTS_URL,
        "outbox-events": env.BERTH_OUTBOX_EVENTS_URL,
      },
    }),
    accounts: createAccounts({
      db,
      tables: accountTables,
      clock: systemClock,
      ids: systemIds,
      secret: authSecret,
      baseUrl: env.BERTH_PUBLIC_URL,
      trustedOrigins: [new URL(env.BERTH_PUBLIC_URL).origin],
      log,
      production: true,
      clientIpHeader: "x-berth-client-ip", // set by functions/api.ts
    }),
    hostCredentials: createStsHostCredentials({
      roleArn: env.BERTH_HOST_ROLE_ARN,
      region: env.AWS_REGION,
    }),
    settings: { publicUrl: env.BERTH_PUBLIC_URL.replace(/\/$/, ""), intervals: INTERVALS },
  };
}

/** As `Environment`, for the Lambda that migrates: it is given no other secret. */
export const MigrationEnvironment = Environment.pick({
  AWS_REGION: true,
  BERTH_SERVICE: true,
  BERTH_DATABASE_SECRET_ARN: true,
});

/** What a migration stands on. */
export async function migrationRuntime(): Promise<{
  clock: Clock;
  log: Log;
  databaseUrl: string;
}> {
  const env = MigrationEnvironment.parse(process.env);
  const secret = DatabaseSecret.parse(JSON.parse(await readSecret(env.BERTH_DATABASE_SECRET_ARN)));
  const url = new URL(`postgres://${secret.host}:${secret.port}/${secret.dbname}`);
  url.username = encodeURIComponent(secret.username);
  url.password = encodeURIComponent(secret.password);
  url.searchParams.set("sslmode", "verify-full");
  return { clock: systemClock, log: createLog(env.BERTH_SERVICE), databaseUrl: url.href };
}

let runtime: Promise<Deps> | undefined;

/** The runtime of this Lambda instance, made at the first call. A failure is tried again at the next one. */
export function currentRuntime(): Promise<Deps> {
  runtime ??= createRuntime().catch((error: unknown) => {
    runtime = undefined;
    throw error;
  });
  return runtime;
}

/** A Lambda handler whose parts are made from the runtime at its first call. */
export function lambda<E, C, A>(make: (deps: Deps) => (event: E, context: C) => Promise<A>) {
  let made: ((event: E, context: C) => Promise<A>) | undefined;
  return async (event: E, context: C): Promise<A> => {
    made ??= make(await currentRuntime());
    return made(event, context);
  };
}
