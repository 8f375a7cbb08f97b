import { drizzleAdapter } from "better-auth/adapters/drizzle";
import { APIError, createAuthMiddleware, getSessionFromCtx } from "better-auth/api";
import { betterAuth } from "better-auth/minimal";
import { twoFactor } from "better-auth/plugins/two-factor";
import { DrizzleQueryError } from "drizzle-orm";
import type { PgDatabase, PgQueryResultHKT, PgTable } from "drizzle-orm/pg-core";
import {
  MAX_EMAIL_LENGTH,
  MAX_NAME_LENGTH,
  MAX_PASSWORD_LENGTH,
  MIN_PASSWORD_LENGTH,
  ROLES,
  STAFF_ROLES,
} from "#core/accounts/accounts.ts";
import { isEasilyGuessed } from "#core/accounts/passwords.ts";
import type { IdSource, Log } from "#core/ports.ts";
import type { PasswordHashes } from "./password-hashes.ts";
import { cookiePrefix } from "./session-cookies.ts";

/** Where the log-in routes live, below the API's origin. */
export const AUTH_PATH = "/v1/auth";

/** The tables of `db/schema/accounts.ts`, handed in by the composition root: adapters do not import db. */
export type AccountTables = Readonly<
  Record<"accounts" | "sessions" | "credentials" | "verifications" | "twoFactors", PgTable>
>;

export type AuthOptions = Readonly<{
  db: PgDatabase<PgQueryResultHKT>;
  tables: AccountTables;
  ids: IdSource;
  /** At least 32 characters; signs cookies and encrypts the second factors. */
  secret: string;
  /** The API's public origin, such as `https://api.example.com`. */
  baseUrl: string;
  /** Further origins whose pages may call the log-in routes with cookies. */
  trustedOrigins: readonly string[];
  log: Log;
  /** Secure cookies. */
  production: boolean;
  /**
   * The header that holds the client's one address, which stands with its session; `x-forwarded-for` if left out. Behind a
   * proxy name one that the entry sets itself.
   */
  clientIpHeader?: string;
  /**
   * Remembers that the account has used a code of its authenticator app. "again": it has used this one before; "too_many":
   * it has tried too many in a short time.
   */
  spendCode: (accountId: string, code: string) => Promise<"first" | "again" | "too_many">;
}>;

/**
 * better-auth over our own tables. Nothing here talks to the network: no social log-in, no telemetry, no mail
 * (what is mailed, `commands/accounts/send-link.ts` makes).
 * `minimal` leaves kysely out of the Lambda's bundle.
 */
export const createAuth = (options: AuthOptions, { hash, verify }: PasswordHashes) =>
  betterAuth({
    appName: "Berth",
    baseURL: options.baseUrl,
    basePath: AUTH_PATH,
    secret: options.secret,
    trustedOrigins: [...options.trustedOrigins],
    telemetry: { enabled: false },
    logger: { level: "warn", log: logInto(options.log) },
    // Refusals become answers in the router; what is thrown on is an outage or a bug, and the caller's to report.
    onAPIError: { throw: true },
    database: drizzleAdapter(options.db, {
      provider: "pg",
      transaction: true,
      schema: {
        user: options.tables.accounts,
        session: options.tables.sessions,
        account: options.tables.credentials,
        verification: options.tables.verifications,
        twoFactor: options.tables.twoFactors,
      },
    }),
    user: {
      additionalFields: {
        role: { type: [...ROLES], required: true, defaultValue: "customer", input: false },
        staffRole: { type: [...STAFF_ROLES], required: false, input: false, returned: false },
        bannedAt: { type: "date", required: false, input: false },
      },
    },
    emailAndPassword: {
      enabled: true,
      minPasswordLength: MIN_PASSWORD_LENGTH,
      maxPasswordLength: MAX_PASSWORD_LENGTH,
      password: { hash, verify },
    },
    session: {
      expiresIn: 7 * 86_400,
      updateAge: 86_400,
      // A changed role and a ban must take effect at the next request.
      cookieCache: { enabled: false },
      additionalFields: {
        secondFactor: { type: "boolean", required: false, input: false },
        impersonatedBy: { type: "string", required: false, input: false },
      },
    },
    verification: { storeIdentifier: "hashed" },
    // Attempts are counted before a request comes here (`commands/accounts/slow-down.ts`).
    rateLimit: { enabled: false },
    advanced: {
      // better-auth's own way to secure cookies has a weaker prefix, `__Secure-`.
      cookiePrefix: cookiePrefix(options.production),
      useSecureCookies: false,
      // On top of its defaults: HttpOnly, SameSite=Lax, Path=/, no Domain.
      defaultCookieAttributes: { secure: options.production },
      // Both would be off in tests by default, and then no test could see them work.
      disableOriginCheck: false,
      disableCSRFCheck: false,
      ipAddress: {
        ipAddressHeaders: [options.clientIpHeader ?? "x-forwarded-for"],
        ipv6Subnet: 56,
      },
      database: { generateId: () => options.ids.newId() },
    },
    databaseHooks: {
      user: { create: { before: async (user) => refuseBadProfile(user) } },
      session: {
        create: {
          before: async (session, context) => {
            const account = await context?.context.internalAdapter.findUserById(session.userId);
            if (isBanned(account)) throw new APIError("FORBIDDEN", BANNED);
            const of = context?.context.session?.session;
            const secondFactor = provedBy(context?.path, account, of);
            return { data: { ...session, secondFactor } };
          },
        },
      },
    },
    hooks: {
      before: createAuthMiddleware(async (ctx) => {
        const body = textsOf(ctx.body);
        const password =
          body["newPassword"] ?? (ctx.path === SIGN_UP ? body["password"] : undefined);
        if (password !== undefined) {
          const about = ctx.path === SIGN_UP ? body : (await getSessionFromCtx(ctx))?.user;
          refuseEasyPassword(password, [about?.["email"] ?? "", about?.["name"] ?? ""]);
        }
        if (ctx.path === "/change-password")
          return { context: { body: { ...ctx.body, revokeOtherSessions: true } } };
        const { code } = body;
        if (ctx.path !== VERIFY_TOTP || code === undefined || !/^\d{6}$/.test(code))
          return undefined;
        const accountId = (await getSessionFromCtx(ctx))?.user.id ?? (await halfLoggedIn(ctx));
        if (accountId !== undefined) refuseSpent(await options.spendCode(accountId, code));
        return undefined;
      }),
    },
    plugins: [twoFactor({ issuer: "Berth" })],
  });
export type Auth = ReturnType<typeof createAuth>;

const SIGN_UP = "/sign-up/email";
const VERIFY_TOTP = "/two-factor/verify-totp";

const textsOf = (body: unknown): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries(
    Object.entries(Object(body)).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );

function refuseEasyPassword(password: string, about: readonly string[]): void {
  // What is too short is told so by better-auth.
  if (password.length >= MIN_PASSWORD_LENGTH && isEasilyGuessed(password, about))
    throw new APIError("BAD_REQUEST", {
      code: "PASSWORD_TOO_COMMON",
      message: "This password is one of the first that are guessed. Please choose another one.",
    });
}

type Ctx = Parameters<Parameters<typeof createAuthMiddleware>[0]>[0];

/** Whose password was right, and who owes the code: the account that a log-in's cookie stands for. */
async function halfLoggedIn(ctx: Ctx): Promise<string | undefined> {
  const { name } = ctx.context.createAuthCookie("two_factor");
  const pending = await ctx.getSignedCookie(name, ctx.context.secret);
  if (typeof pending !== "string") return undefined;
  return (await ctx.context.internalAdapter.findVerificationValue(pending))?.value;
}

/**
 * A code is spent before it is looked at: of two that bring the same one at once, one is refused. One that better-auth then
 * finds wrong was nobody's.
 */
function refuseSpent(spent: Awaited<ReturnType<AuthOptions["spendCode"]>>): void {
  switch (spent) {
    case "first":
      return;
    case "again":
      throw new APIError("UNAUTHORIZED", {
        code: "CODE_ALREADY_USED",
        message: "This code has been used. Please wait for the next one.",
      });
    case "too_many":
      throw new APIError("TOO_MANY_REQUESTS", {
        code: "TOO_MANY_CODES",
        message: "Too many codes were tried. Please wait some minutes.",
      });
  }
}

/**
 * Whether a second factor stands behind a session that is made: the code that makes it, or that of the session which it takes
 * the place of. A log-in of an account with one comes here by a device that it trusts; any other is ended by better-auth
 * before its cookie leaves us.
 */
function provedBy(path: string | undefined, account: unknown, before: unknown): boolean {
  if (path?.startsWith("/two-factor/verify-") === true) return true;
  if (path === "/two-factor/disable") return false;
  return field(before ?? account, before ? "secondFactor" : "twoFactorEnabled") === true;
}
const field = (value: unknown, name: string): unknown => Reflect.get(Object(value), name);

const BANNED = {
  code: "ACCOUNT_BANNED",
  message: "This account is closed. Please contact support.",
};

function isBanned(account: unknown): boolean {
  return (
    typeof account === "object" &&
    account !== null &&
    "bannedAt" in account &&
    account.bannedAt instanceof Date
  );
}

/** better-auth takes names and addresses of any length; the table does not, and would answer with an outage. */
async function refuseBadProfile(user: { name: string; email: string }): Promise<void> {
  const { name, email } = user;
  if (name.trim() === "" || name.length > MAX_NAME_LENGTH || name.includes("\0"))
    throw new APIError("BAD_REQUEST", {
      code: "INVALID_NAME",
      message: `A name has 1 to ${MAX_NAME_LENGTH} characters.`,
    });
  if (email.length > MAX_EMAIL_LENGTH)
    throw new APIError("BAD_REQUEST", {
      code: "INVALID_EMAIL",
      message: `An address has at most ${MAX_EMAIL_LENGTH} characters.`,
    });
}

/**
 * The library's own log lines. Their arguments are dropped but for the names of errors: a failed query's message
 * holds its parameters, password hashes and session tokens among them.
 */
function logInto(log: Log) {
  return (_level: string, message: string, ...args: readonly unknown[]) => {
    const errors = args.filter((arg) => arg instanceof Error);
    const fields = { message: message.slice(0, 200), ...describe(errors[0]) };
    if (errors.length > 0) log.error("auth_failed", fields);
    else log.info("auth_refused", fields);
  };
}

function describe(error: Error | undefined): Record<string, unknown> {
  if (error === undefined) return {};
  const cause = error instanceof DrizzleQueryError ? error.cause : error;
  const code = cause !== undefined && "code" in cause ? cause.code : undefined;
  return { error_name: (cause ?? error).name, error_code: code };
}
