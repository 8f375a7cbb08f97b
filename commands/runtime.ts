import { drizzle } from "drizzle-orm/node-postgres";
import { z } from "zod";
import { systemClock, systemIds, systemSecrets } from "#adapters/clock.ts";
import { createEmfMetrics } from "#adapters/emf-metrics.ts";
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
import { CURRENCIES } from "#core/currencies.ts";
import { PublicKeyX } from "#core/contracts/public-key.ts";
import { ANSWER_HEADERS } from "#core/contracts/answer-headers.ts";
import { PROBLEM_TYPE, problemDocument, STATUS_BY_CODE } from "#core/contracts/problem.ts";
import { CALLER_ADDRESS_HEADER } from "#core/network/entrance-headers.ts";
import { PLANE_METRICS } from "#core/plane-metrics.ts";
import type { Log } from "#core/ports.ts";
import type { Db } from "#db/client.ts";
import { spendCode } from "#db/accounts/spent-codes.ts";
import { openPool } from "#db/open-pool.ts";
import * as accountTables from "#db/schema/accounts.ts";
import type { AddStaffDeps } from "./accounts/add-staff.ts";
import { createAccounts } from "./accounts/check-access.ts";
import type { ChannelDeps, Deps, MailEventsDeps, Settings, WebhookDeps } from "./deps.ts";
import { createEntrance } from "./entrance.ts";
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
  /** Whom mail is from, an address that SES may send for; without one none is sent, and each that is due fails. */
  BERTH_MAIL_FROM: z.email().optional(),
  /** The configuration set of SES' by which it tells what became of a mail; without one it tells nobody. */
  BERTH_MAIL_EVENTS: z.string().optional(),
  /** Where Stripe is spoken to, when that is not Stripe: as `AWS_ENDPOINT_URL` is for AWS. No stage sets it. */
  BERTH_STRIPE_API_URL: z.url().optional(),
  /** Whose signature agents' releases bear: public, so no secret. */
  BERTH_RELEASE_KEY: PublicKeyX.optional(),
  /** "yes": one member of staff alone may destroy what is a customer's; two unless set (ADR 0048). */
  BERTH_ONE_MAY_DESTROY: z.literal("yes").optional(),
  /** What is ordered in where nobody says (ADR 0066). */
  BERTH_CURRENCY: z.enum(CURRENCIES).optional(),
});
/** Of every Lambda that is called over HTTP: what CloudFront sends with each request. */
const ENTRANCE = { BERTH_ENTRANCE_SECRET_ARN: z.string() };
const EntranceEnvironment = z.object(ENTRANCE);
/** Of the API of customers and staff. */
export const ApiEnvironment = Environment.extend(ENTRANCE);
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

const readStripeSecret = async (arn: string) =>
  StripeSecret.parse(JSON.parse(await readSecret(arn)));
const paymentsOf = (
  { apiKey, webhookSecret }: z.infer<typeof StripeSecret>,
  url: string | undefined,
) =>
  createStripePayments({
    apiKey,
    webhookSecret,
    origin: url === undefined ? undefined : new URL(url),
    now: systemClock.now,
  });

async function createRuntime(): Promise<Deps> {
  const env = Environment.parse(process.env);
  const [database, stripe, authSecret, sealingSecret] = await Promise.all([
    readDatabaseSecret(env.BERTH_DATABASE_SECRET_ARN),
    readStripeSecret(env.BERTH_STRIPE_SECRET_ARN),
    readSecret(env.BERTH_AUTH_SECRET_ARN),
    readSecret(env.BERTH_SEALING_SECRET_ARN),
  ]);
  const parts = commonParts(env.BERTH_SERVICE, database);
  return {
    ...parts,
    metrics: createEmfMetrics(PLANE_METRICS, env.BERTH_SERVICE),
    sealer: createSealer(sealingSecret),
    payments: paymentsOf(stripe, env.BERTH_STRIPE_API_URL),
    queues: createSqsQueues({
      urls: {
        purchases: env.BERTH_PURCHASES_URL,
        "billing-events": env.BERTH_BILLING_EVENTS_URL,
        "outbox-events": env.BERTH_OUTBOX_EVENTS_URL,
      },
    }),
    accounts: accountsOf(parts, authSecret),
    mail: createSesMail({ from: env.BERTH_MAIL_FROM, configurationSet: env.BERTH_MAIL_EVENTS }),
    settings: {
      publicUrl: publicUrlOf(env),
      intervals: INTERVALS,
      releaseKey: env.BERTH_RELEASE_KEY,
      oneMayDestroy: env.BERTH_ONE_MAY_DESTROY === "yes",
      currency: env.BERTH_CURRENCY,
    },
  };
}

/** As `Environment`, for the Lambda that logs people in: it is given no other secret. */
export const LogInEnvironment = Environment.pick({
  AWS_REGION: true,
  BERTH_SERVICE: true,
  BERTH_PUBLIC_URL: true,
  BERTH_DATABASE_SECRET_ARN: true,
  BERTH_AUTH_SECRET_ARN: true,
}).extend(ENTRANCE);

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
    clientIpHeader: CALLER_ADDRESS_HEADER,
  });
  return { ...parts, accounts: accountsOf(parts, authSecret), settings: { publicUrl }, logIns };
}

/** As `Environment`, for the Lambda of the agents' channel: it knows nothing of Stripe, nor of anybody's log-in. */
export const AgentEnvironment = Environment.pick({
  AWS_REGION: true,
  BERTH_SERVICE: true,
  BERTH_PUBLIC_URL: true,
  BERTH_DATABASE_SECRET_ARN: true,
  BERTH_SEALING_SECRET_ARN: true,
  BERTH_OUTBOX_EVENTS_URL: true,
  BERTH_RELEASE_KEY: true,
}).extend({ ...ENTRANCE, BERTH_HOST_ROLE_ARN: z.string() });

async function createAgentRuntime(): Promise<ChannelDeps> {
  const env = AgentEnvironment.parse(process.env);
  const [database, sealingSecret] = await Promise.all([
    readDatabaseSecret(env.BERTH_DATABASE_SECRET_ARN),
    readSecret(env.BERTH_SEALING_SECRET_ARN),
  ]);
  return {
    ...commonParts(env.BERTH_SERVICE, database),
    metrics: createEmfMetrics(PLANE_METRICS, env.BERTH_SERVICE),
    sealer: createSealer(sealingSecret),
    queues: createSqsQueues({ urls: { "outbox-events": env.BERTH_OUTBOX_EVENTS_URL } }),
    hostCredentials: createStsHostCredentials({
      roleArn: env.BERTH_HOST_ROLE_ARN,
      region: env.AWS_REGION,
    }),
    settings: {
      publicUrl: publicUrlOf(env),
      intervals: INTERVALS,
      releaseKey: env.BERTH_RELEASE_KEY,
    },
  };
}

/** As `Environment`, for the Lambda that takes Stripe's deliveries. */
export const WebhookEnvironment = Environment.pick({
  AWS_REGION: true,
  BERTH_SERVICE: true,
  BERTH_DATABASE_SECRET_ARN: true,
  BERTH_STRIPE_SECRET_ARN: true,
  BERTH_STRIPE_API_URL: true,
  BERTH_BILLING_EVENTS_URL: true,
}).extend(ENTRANCE);

async function createWebhookRuntime(): Promise<WebhookDeps> {
  const env = WebhookEnvironment.parse(process.env);
  const [database, stripe] = await Promise.all([
    readDatabaseSecret(env.BERTH_DATABASE_SECRET_ARN),
    readStripeSecret(env.BERTH_STRIPE_SECRET_ARN),
  ]);
  return {
    ...commonParts(env.BERTH_SERVICE, database),
    payments: paymentsOf(stripe, env.BERTH_STRIPE_API_URL),
    queues: createSqsQueues({ urls: { "billing-events": env.BERTH_BILLING_EVENTS_URL } }),
  };
}

/** As `Environment`, for the Lambda that adds members of staff: it is given a log-in to Postgres and no other secret. */
export const AddStaffEnvironment = Environment.pick({
  AWS_REGION: true,
  BERTH_SERVICE: true,
  BERTH_PUBLIC_URL: true,
  BERTH_DATABASE_SECRET_ARN: true,
});

async function createAddStaffRuntime(): Promise<AddStaffDeps & Pick<Deps, "log">> {
  const env = AddStaffEnvironment.parse(process.env);
  const parts = commonParts(
    env.BERTH_SERVICE,
    await readDatabaseSecret(env.BERTH_DATABASE_SECRET_ARN),
  );
  return { ...parts, settings: { publicUrl: publicUrlOf(env) } };
}

/** As `Environment`, for the Lambda that is told what became of mails: it sends none, and knows nothing but the database. */
export const MailEventsEnvironment = Environment.pick({
  AWS_REGION: true,
  BERTH_SERVICE: true,
  BERTH_DATABASE_SECRET_ARN: true,
});

async function createMailEventsRuntime(): Promise<MailEventsDeps> {
  const env = MailEventsEnvironment.parse(process.env);
  const secret = await readDatabaseSecret(env.BERTH_DATABASE_SECRET_ARN);
  return {
    ...commonParts(env.BERTH_SERVICE, secret),
    metrics: createEmfMetrics(PLANE_METRICS, env.BERTH_SERVICE),
  };
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

/** As `lambdaOn`, for what is called over HTTP: it serves what came through CloudFront, and nothing else. */
const httpLambdaOn = <D, E extends object, C, A>(
  createDeps: () => Promise<D>,
  make: (deps: D) => Handler<E, C, A>,
) =>
  lambdaOn(
    async () => {
      const { BERTH_ENTRANCE_SECRET_ARN: arn } = EntranceEnvironment.parse(process.env);
      const [deps, secret] = await Promise.all([createDeps(), readSecret(arn)]);
      return { deps, enter: createEntrance(secret) };
    },
    ({ deps, enter }): Handler<E, C, A | ReturnType<typeof notThisWay>> => {
      const serve = make(deps);
      return async (event, context) => {
        const entered = enter(event);
        return entered === undefined ? notThisWay() : serve(entered, context);
      };
    },
  );

const notThisWay = () => ({
  statusCode: STATUS_BY_CODE.forbidden,
  headers: { ...ANSWER_HEADERS, "content-type": PROBLEM_TYPE },
  body: JSON.stringify(
    problemDocument("forbidden", "this is not the API's public address", "not logged"),
  ),
});

/** A worker's handler. */
export const lambda = <E, C, A>(make: (deps: Deps) => Handler<E, C, A>): Handler<E, C, A> =>
  lambdaOn(createRuntime, make);

/** The handler of the API of customers and staff. */
export const httpLambda = <E extends object, C, A>(make: (deps: Deps) => Handler<E, C, A>) =>
  httpLambdaOn(createRuntime, make);

/** The handler of the one Lambda that adds members of staff. */
export const addStaffLambda = <E, C, A>(
  make: (deps: AddStaffDeps & Pick<Deps, "log">) => Handler<E, C, A>,
) => lambdaOn(createAddStaffRuntime, make);

/** The handler of what became of mails. */
export const mailEventsLambda = <E, C, A>(make: (deps: MailEventsDeps) => Handler<E, C, A>) =>
  lambdaOn(createMailEventsRuntime, make);

/** The handler of the one Lambda that logs people in. */
export const logInLambda = <E extends object, C, A>(make: (deps: LogInDeps) => Handler<E, C, A>) =>
  httpLambdaOn(createLogInRuntime, make);

/** The handler of the hosts' channel. */
export const agentLambda = <E extends object, C, A>(
  make: (deps: ChannelDeps) => Handler<E, C, A>,
) => httpLambdaOn(createAgentRuntime, make);

/** The handler of Stripe's deliveries. */
export const webhookLambda = <E extends object, C, A>(
  make: (deps: WebhookDeps) => Handler<E, C, A>,
) => httpLambdaOn(createWebhookRuntime, make);
