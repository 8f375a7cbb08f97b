import { getSessionCookie } from "better-auth/cookies";
import { DrizzleQueryError } from "drizzle-orm";
import * as z from "zod";
import {
  type AccountPrincipal,
  type Accounts,
  MIN_PASSWORD_LENGTH,
  ROLES,
  type Scope,
  SCOPES_OF_ROLE,
} from "#core/accounts/accounts.ts";
import type { Clock } from "#core/ports.ts";
import { ok, refuse } from "#core/result.ts";
import { type Auth, type AuthOptions, COOKIE_PREFIX, createAuth } from "./accounts-auth.ts";
import { isServed, notServed, withProblem } from "./accounts-http.ts";
import { createTokens } from "./accounts-tokens.ts";

const MIN_SECRET_LENGTH = 32;

/**
 * Accounts, sessions and API tokens on better-auth.
 *
 * Tokens are judged by `clock` (the machine's when none is given); sessions live by the machine's clock, which
 * better-auth reads itself. A refused request of `handle` is answered with a problem document whose `instance` is
 * the request's `x-request-id`. A throw is an outage or a bug, never a wrong password or token.
 */
export function createAccounts(
  options: AuthOptions & Readonly<{ clock?: Pick<Clock, "now"> }>,
): Accounts {
  if (options.secret.length < MIN_SECRET_LENGTH)
    throw new RangeError(`the accounts' secret needs ${MIN_SECRET_LENGTH} characters or more`);
  const clock = options.clock ?? { now: () => new Date() };
  const auth = createAuth(options);
  const tokens = createTokens(auth, clock);
  const authenticate = async (headers: Headers): Authenticated => {
    const authorization = headers.get("authorization");
    if (authorization !== null) return bearerPrincipal(auth, tokens, authorization);
    if (getSessionCookie(headers, { cookiePrefix: COOKIE_PREFIX }) === null) return ok(undefined);
    return sessionPrincipal(auth, headers);
  };
  const handle = async (request: Request): Promise<Response> => {
    const requestId = request.headers.get("x-request-id") ?? options.ids.newId();
    if (!isServed(request)) return notServed(requestId);
    return withProblem(await auth.handler(request), requestId);
  };
  return {
    handle: (request) => guarded(() => handle(request)),
    authenticate: (headers) => guarded(() => authenticate(headers)),
    createToken: (owner, input) => guarded(() => tokens.create(owner, input)),
    listTokens: (accountId) => guarded(() => tokens.list(accountId)),
    revokeToken: (accountId, tokenId) => guarded(() => tokens.revoke(accountId, tokenId)),
    createAccount: (input) => guarded(() => createAccount(auth, clock, input)),
  };
}

const guarded = <T>(work: () => Promise<T>): Promise<T> =>
  work().catch((error: unknown) => {
    throw withoutValues(error);
  });

/** drizzle's message for a failed query holds its values, hashes and addresses among them: the driver's error stays. */
function withoutValues(error: unknown): unknown {
  for (let at = error; at instanceof Error; at = at.cause)
    if (at instanceof DrizzleQueryError)
      return new Error("the accounts' database failed", { cause: at.cause });
  return error;
}

type Authenticated = ReturnType<Accounts["authenticate"]>;

async function bearerPrincipal(
  auth: Auth,
  tokens: ReturnType<typeof createTokens>,
  authorization: string,
): Authenticated {
  const secret = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
  const grant = secret === undefined ? undefined : await tokens.use(secret);
  if (grant === undefined)
    return refuse("token_invalid", "The API token is unknown, revoked or expired.");
  const { internalAdapter } = await auth.$context;
  const account = await internalAdapter.findUserById(grant.accountId);
  if (account === null) return refuse("token_invalid", "The token's account is gone.");
  return principalOf(Account.parse(account), grant.scopes, grant.token);
}

async function sessionPrincipal(auth: Auth, headers: Headers): Authenticated {
  // Without the refresh this only reads; a browser's session is prolonged by GET /v1/auth/get-session.
  const session = await auth.api.getSession({ headers, query: { disableRefresh: true } });
  if (session === null) return refuse("token_invalid", "The session is unknown or has ended.");
  const account = Account.parse(session.user);
  return principalOf(account, SCOPES_OF_ROLE[account.role]);
}

/** An account as it is stored now; better-auth types what it reads only loosely. */
const Account = z.object({
  id: z.string(),
  email: z.string(),
  name: z.string(),
  role: z.enum(ROLES),
  bannedAt: z.date().nullable(),
});

async function principalOf(
  account: z.infer<typeof Account>,
  granted: readonly Scope[],
  token?: NonNullable<AccountPrincipal["token"]>,
): Authenticated {
  if (account.bannedAt !== null) return refuse("token_invalid", "The account is closed.");
  const { id, email, name, role } = account;
  const allowed: readonly Scope[] = SCOPES_OF_ROLE[role];
  const scopes = granted.filter((scope) => allowed.includes(scope));
  const who = { accountId: id, email, name, role, scopes } as const;
  return ok(token === undefined ? { ...who, via: "session" } : { ...who, via: "token", token });
}

async function createAccount(
  auth: Auth,
  clock: Pick<Clock, "now">,
  input: Parameters<Accounts["createAccount"]>[0],
): ReturnType<Accounts["createAccount"]> {
  if (input.password.length < MIN_PASSWORD_LENGTH)
    throw new RangeError(`a password has ${MIN_PASSWORD_LENGTH} characters or more`);
  const { adapter, password } = await auth.$context;
  const hash = await password.hash(input.password);
  const at = { createdAt: clock.now(), updatedAt: clock.now() };
  const email = input.email.trim().toLowerCase();
  try {
    return await adapter.transaction(async (tx) => {
      const { id } = await tx.create<Record<string, unknown>, { id: string }>({
        model: "user",
        data: { email, name: input.name, role: input.role, emailVerified: false, ...at },
      });
      await tx.create({
        model: "account",
        data: { userId: id, accountId: id, providerId: "credential", password: hash, ...at },
      });
      return ok({ accountId: id });
    });
  } catch (error) {
    if (isEmailTaken(error)) return refuse("email_taken", "There is an account with this address.");
    throw error;
  }
}

/** Postgres' unique_violation (SQLSTATE 23505) on the address. */
function isEmailTaken(error: unknown): boolean {
  const cause = error instanceof DrizzleQueryError ? error.cause : undefined;
  return (
    cause !== undefined && "constraint" in cause && cause.constraint === "accounts_email_unique"
  );
}
