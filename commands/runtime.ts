import { drizzle } from "drizzle-orm/node-postgres";
import { z } from "zod";
import { systemClock, systemIds, systemSecrets } from "#adapters/clock.ts";
import { createLog } from "#adapters/log.ts";
import { createLogIns } from "#adapters/log-ins.ts";
import { createSesMail } from "#adapters/ses.ts";
import { createSealer } from "#adapters/sealer.ts";
import { readSecret } from "#adapters/secrets.ts";
import { createSessionCookies } from "#adapters/session-cookies.ts";
import { createSqsQueues } from "#adapters/sqs.ts";
import { createStripePayments } from "#adapters/stripe.ts";
import { createStsHostCredentials } from "#adapters/sts.ts";
import type { LogIns } from "#core/accounts/accounts.ts";
import type { Log } from "#core/ports.ts";
import type { Db } from "#db/client.ts";
import { spendCode } from "#db/accounts/spent-codes.ts";
import { openPool } from "#db/open-pool.ts";
import * as accountTables from "#db/schema/accounts.ts";
import { createAccounts } from "./accounts/check-access.ts";
import type { Deps, Settings } from "./deps.ts";
import type { migrateDatabase } from "./migrate-database.ts";

/** What a Lambda is told by its environment. Secrets come by ARN, never by value. */
export const Environment = z.object({
  AWS_REGION: z.string(),
  BERTH_SERVICE: z.string().default("berth"),
  BERTH_PUBLIC_URL: z.url(),
  BERTH_DATABASE_SECRET_ARN: z.string(),
  BERTH_STRIPE_SECRET_ARN: z.string(),
  BERTH_AUTH_SECRET_ARN: z.string(),
  BERTH_SEALING_SECRET_ARN: z.string(),
  BERTH_PURCHASES_URL: z.url(),
  BERTH_BILLING_EVENTS_URL: z.url(),
  BERTH_OUTBOX_EVENTS_URL: z.url(),
  BERTH_HOST_ROLE_ARN: z.string(),
  /** Whom mail is from, an address that SES may send for; without one none is sent, and each that is due fails. */
  BERTH_MAIL_FROM: z.email().optional(),
  /** Where Stripe is spoken to, when that is not Stripe: as `AWS_ENDPOINT_URL` is for AWS. No stage sets it. */
  BERTH_STRIPE_API_URL: z.url().optional(),
});
const publicUrlOf = (env: { BERTH_PUBLIC_URL: string }) => env.BERTH_PUBLIC_URL.replace(/\/$/, "");

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

/** One Lambda instance serves one request at a time; the second connection is for reads beside it. */
const CONNECTIONS = 2;

function openDatabase(secret: z.infer<typeof DatabaseSecret>, log: Log): Db {
  const { host, port, username: user, password, dbname: database } = secret;
  const pool = openPool(
    {
      host,
      port,
      user,
      password,
      database,
      ssl: true,
      max: CONNECTIONS,
      connectionTimeoutMillis: 5_000,
      statement_timeout: 10_000,
    },
    (error) => log.error("database.connection_lost", { error }),
  );
  return drizzle(pool);
}

const readDatabaseSecret = async (arn: string) =>
  DatabaseSecret.parse(JSON.parse(await readSecret(arn)));

/** What every Lambda that serves or works has; `cookies` are those that log-ins set. */
const commonParts = (service: string, secret: z.infer<typeof DatabaseSecret>) => {
  const log = createLog(service);
  const db = openDatabase(secret, log);
  return { db, clock: systemClock, ids: systemIds, secrets: systemSecrets, log };
};
const accountsOf = (parts: ReturnType<typeof commonParts>, authSecret: string) =>
  createAccounts({
    ...parts,
    sessionClock: systemClock,
    cookies: createSessionCookies({ secret: authSecret, secure: true }),
  });

async function createRuntime(): Promise<Deps> {
  const env = Environment.parse(process.env);
  const [database, stripe, authSecret, sealingSecret] = await Promise.all([
    readDatabaseSecret(env.BERTH_DATABASE_SECRET_ARN),
    readSecret(env.BERTH_STRIPE_SECRET_ARN).then((s) => StripeSecret.parse(JSON.parse(s))),
    readSecret(env.BERTH_AUTH_SECRET_ARN),
    readSecret(env.BERTH_SEALING_SECRET_ARN),
  ]);
  const parts = commonParts(env.BERTH_SERVICE, database);
  return {
    ...parts,
    sealer: createSealer(sealingSecret),
    payments: createStripePayments({
      apiKey: stripe.apiKey,
      webhookSecret: stripe.webhookSecret,
      origin:
        env.BERTH_STRIPE_API_URL === undefined ? undefined : new URL(env.BERTH_STRIPE_API_URL),
      now: systemClock.now,
    }),
    queues: createSqsQueues({
      urls: {
        purchases: env.BERTH_PURCHASES_URL,
        "billing-events": env.BERTH_BILLING_EVENTS_URL,
        "outbox-events": env.BERTH_OUTBOX_EVENTS_URL,
      },
    }),
    accounts: accountsOf(parts, authSecret),
    hostCredentials: createStsHostCredentials({
      roleArn: env.BERTH_HOST_ROLE_ARN,
      region: env.AWS_REGION,
    }),
    mail: createSesMail({ from: env.BERTH_MAIL_FROM }),
    settings: { publicUrl: publicUrlOf(env), intervals: INTERVALS },
  };
}

/** As `Environment`, for the Lambda that logs people in: it is given no other secret. */
export const LogInEnvironment = Environment.pick({
  AWS_REGION: true,
  BERTH_SERVICE: true,
  BERTH_PUBLIC_URL: true,
  BERTH_DATABASE_SECRET_ARN: true,
  BERTH_AUTH_SECRET_ARN: true,
});

/** What log-ins stand on. Apart from `createRuntime`, so that all other bundles leave their library out. */
export type LogInDeps = Pick<Deps, "accounts" | "clock" | "db" | "ids" | "log"> & {
  settings: Pick<Settings, "publicUrl">;
  logIns: LogIns;
};

async function createLogInRuntime(): Promise<LogInDeps> {
  const env = LogInEnvironment.parse(process.env);
  const [database, authSecret] = await Promise.all([
    readDatabaseSecret(env.BERTH_DATABASE_SECRET_ARN),
    readSecret(env.BERTH_AUTH_SECRET_ARN),
  ]);
  const parts = commonParts(env.BERTH_SERVICE, database);
  const publicUrl = publicUrlOf(env);
  const logIns = createLogIns({
    ...parts,
    tables: accountTables,
    spendCode: (accountId, code) => spendCode(parts.db, accountId, code, systemClock.now()),
    secret: authSecret,
    baseUrl: env.BERTH_PUBLIC_URL,
    trustedOrigins: [new URL(env.BERTH_PUBLIC_URL).origin],
    production: true,
    clientIpHeader: "x-berth-client-ip", // set by functions/caller-address.ts
  });
  return { ...parts, accounts: accountsOf(parts, authSecret), settings: { publicUrl }, logIns };
}

/** As `Environment`, for the Lambda that migrates: it is given no other secret. */
export const MigrationEnvironment = Environment.pick({
  AWS_REGION: true,
  BERTH_SERVICE: true,
  // Here, the owner's.
  BERTH_DATABASE_SECRET_ARN: true,
}).extend({
  /** The secrets of those who are let in with the rights of functions, by commas. */
  BERTH_LOGIN_SECRET_ARNS: z.string().transform((arns) => arns.split(",")),
});

/** What a migration stands on. */
export async function migrationRuntime(): Promise<Parameters<typeof migrateDatabase>[0]> {
  const env = MigrationEnvironment.parse(process.env);
  const [secret, ...logins] = await Promise.all([
    readDatabaseSecret(env.BERTH_DATABASE_SECRET_ARN),
    ...env.BERTH_LOGIN_SECRET_ARNS.map(readDatabaseSecret),
  ]);
  const url = new URL(`postgres://${secret.host}:${secret.port}/${secret.dbname}`);
  url.username = encodeURIComponent(secret.username);
  url.password = encodeURIComponent(secret.password);
  url.searchParams.set("sslmode", "verify-full");
  return {
    clock: systemClock,
    log: createLog(env.BERTH_SERVICE),
    ownerUrl: url.href,
    logins: logins.map(({ username: user, password }) => ({ user, password })),
  };
}

type Handler<E, C, A> = (event: E, context: C) => Promise<A>;

/** A handler whose parts are made at its first call. A failure is tried again at the next one. */
function lambdaOn<D, E, C, A>(
  createDeps: () => Promise<D>,
  make: (deps: D) => Handler<E, C, A>,
): Handler<E, C, A> {
  let made: Promise<Handler<E, C, A>> | undefined;
  return async (event, context) => {
    made ??= createDeps()
      .then(make)
      .catch((error: unknown) => {
        made = undefined;
        throw error;
      });
    return (await made)(event, context);
  };
}

/** A Lambda's handler. */
export const lambda = <E, C, A>(make: (deps: Deps) => Handler<E, C, A>): Handler<E, C, A> =>
  lambdaOn(createRuntime, make);

/** The handler of the one Lambda that logs people in. */
export const logInLambda = <E, C, A>(
  make: (deps: LogInDeps) => Handler<E, C, A>,
): Handler<E, C, A> => lambdaOn(createLogInRuntime, make);
