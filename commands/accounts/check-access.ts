import { createHash } from "node:crypto";
import {
  scopesOf,
  scopesOfImpersonator,
  scopesOfSession,
  type Account,
  type AccountPrincipal,
  type Accounts,
  type Scope,
} from "#core/accounts/accounts.ts";
import {
  isInForce,
  isUseNoted,
  newApiToken,
  TOKEN_BYTES,
  TOKEN_PREFIX,
  toTokenView,
} from "#core/accounts/api-token.ts";
import { guarded } from "#core/accounts/without-values.ts";
import type { Clock, SessionCookies } from "#core/ports.ts";
import { ok, refuse, type Result } from "#core/result.ts";
import {
  countApiTokens,
  countEnabled,
  deleteAllApiTokens,
  deleteApiToken,
  findApiToken,
  insertApiToken,
  listApiTokens,
  noteUse,
} from "#db/accounts/api-tokens.ts";
import { lockAccount } from "#db/accounts/accounts.ts";
import { findSession } from "#db/accounts/sessions.ts";
import { inTransaction } from "#db/transaction.ts";
import type { Deps } from "#commands/deps.ts";
import { createSlowDown } from "./slow-down.ts";

/** Enough for every tool of a customer; few enough to look through. */
const MAX_TOKENS = 100;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export type AccessPorts = Pick<Deps, "db" | "clock" | "ids" | "secrets"> &
  Readonly<{
    cookies: SessionCookies;
    /** The machine's clock, by which better-auth lets sessions begin and end; `clock` judges tokens. */
    sessionClock: Pick<Clock, "now">;
  }>;

/**
 * Who a request comes from, by our own tables: each check reads the account as it is now, in one statement, so that a
 * changed role and a ban are in force at the next request. A throw is an outage or a bug, never a wrong secret.
 */
export function createAccounts(ports: AccessPorts): Accounts {
  const { db, clock } = ports;

  const slowDown = createSlowDown(ports);

  async function ofToken(authorization: string, callerAddress: string | undefined): Authenticated {
    const slowed = slowDown.lookOfCaller("wrong_api_token", callerAddress);
    if (!slowed.ok) return slowed;
    const secret = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    const found =
      secret?.startsWith(TOKEN_PREFIX) === true
        ? await findApiToken(db, hashOf(secret))
        : undefined;
    const now = clock.now();
    if (found === undefined || !isInForce(found.token, now) || !(await haveMakers(found.token))) {
      const tooMany = await slowDown.takeOfCaller("wrong_api_token", callerAddress);
      return tooMany.ok
        ? refuse("token_invalid", "The API token is unknown, revoked or expired.")
        : tooMany;
    }
    const { id, makers, expiresAt, scopes } = found.token;
    if (!isUseNoted(found.token, now)) await noteUse(db, id, now);
    return principalOf(found.account, scopes, { id, makers, expiresAt });
  }

  /** A token made while its maker was being revoked is caught here: it is worth nothing without its makers. */
  const haveMakers = async ({ makers }: { makers: readonly string[] }): Promise<boolean> =>
    makers.length === 0 || (await countEnabled(db, makers)) === makers.length;

  async function ofSession(token: string): Authenticated {
    const found = await findSession(db, token);
    if (found === undefined || found.expiresAt <= ports.sessionClock.now())
      return refuse("token_invalid", "The session is unknown or has ended.");
    const { account, impersonator } = found;
    if (impersonator === null)
      return principalOf(account, scopesOfSession(account, found.secondFactor));
    if (!isStillStaff(impersonator))
      return refuse("token_invalid", "The session is unknown or has ended.");
    const who = principalOf(account, scopesOfImpersonator(account));
    return who.ok ? ok({ ...who.value, impersonator: impersonator.accountId }) : who;
  }

  async function authenticate(headers: Headers, callerAddress?: string): Authenticated {
    const authorization = headers.get("authorization");
    if (authorization !== null) return ofToken(authorization, callerAddress);
    const cookie = await ports.cookies.tokenIn(headers);
    if (cookie.kind === "none") return ok(undefined);
    if (cookie.kind === "forged")
      return refuse("token_invalid", "The session is unknown or has ended.");
    return ofSession(cookie.token);
  }

  const createToken: Accounts["createToken"] = async (owner, input) => {
    // `owner.scopes` is the role's for a session, and a token's own for a token: neither may hand out more.
    const excess = input.scopes.filter((scope) => !owner.scopes.includes(scope));
    if (excess.length > 0)
      return refuse("scope_not_allowed", `not yours to give: ${excess.join(", ")}`);
    const secret = TOKEN_PREFIX + ports.secrets.newSecret(TOKEN_BYTES);
    const made = { id: ports.ids.newId(), secret, now: clock.now() };
    const token = newApiToken(owner, input, made);
    return inTransaction(db, async (tx): ReturnType<Accounts["createToken"]> => {
      // Those that are made at once are counted one after the other.
      await lockAccount(tx, owner.accountId);
      if ((await countApiTokens(tx, owner.accountId)) >= MAX_TOKENS)
        return refuse("token_limit", `an account has at most ${MAX_TOKENS} tokens`);
      await insertApiToken(tx, token, hashOf(secret));
      return ok({ secret, token: toTokenView(token) });
    });
  };

  return {
    authenticate: (headers, callerAddress) => guarded(() => authenticate(headers, callerAddress)),
    createToken: (owner, input) => guarded(() => createToken(owner, input)),
    newSession: async (minutes) => {
      const token = ports.secrets.newSecret(TOKEN_BYTES);
      const createdAt = ports.sessionClock.now();
      const expiresAt = new Date(+createdAt + minutes * 60_000);
      return { token, cookie: await ports.cookies.cookieOf(token), createdAt, expiresAt };
    },
    listTokens: (accountId) =>
      guarded(async () => (await listApiTokens(db, accountId)).map(toTokenView)),
    revokeToken: (accountId, tokenId) =>
      guarded(async () => UUID.test(tokenId) && deleteApiToken(db, accountId, tokenId)),
    revokeAllTokens: (accountId) => guarded(() => deleteAllApiTokens(db, accountId)),
  };
}

/** Whoever may not act as customers any more, does not go on with it either. */
const isStillStaff = (account: Account): boolean =>
  account.bannedAt === null && scopesOf(account).includes("accounts:impersonate");

type Authenticated = ReturnType<Accounts["authenticate"]>;

/** SHA-256 as base64url: the secret has 48 random bytes, so it needs no salt and no slow hash. */
const hashOf = (secret: string): string => createHash("sha256").update(secret).digest("base64url");

function principalOf(
  account: Account,
  granted: readonly Scope[],
  token?: NonNullable<AccountPrincipal["token"]>,
): Result<AccountPrincipal, { code: "token_invalid"; detail: string }> {
  if (account.bannedAt !== null) return refuse("token_invalid", "The account is closed.");
  const { accountId, email, name, role, staffRole } = account;
  const allowed = scopesOf(account);
  const scopes = granted.filter((scope) => allowed.includes(scope));
  const who = { accountId, email, name, role, ...(staffRole && { staffRole }), scopes } as const;
  return ok(token === undefined ? { ...who, via: "session" } : { ...who, via: "token", token });
}
