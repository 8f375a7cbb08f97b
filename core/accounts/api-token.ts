import { SCOPES, type AccountPrincipal, type Scope, type TokenView } from "./accounts.ts";

export const TOKEN_PREFIX = "berth_";
/** Of a secret's random part: 48 bytes, which are 64 characters. */
export const TOKEN_BYTES = 48;
/** How much of a secret is kept in clear, so that a person knows a token again. */
const START_LENGTH = TOKEN_PREFIX.length + 6;

/** An API token as it is stored. `makers` are the tokens that made it, the first one first; none for a session's. */
export type ApiToken = Readonly<{
  id: string;
  accountId: string;
  name: string;
  start: string;
  scopes: readonly Scope[];
  makers: readonly string[];
  enabled: boolean;
  createdAt: Date;
  expiresAt: Date | null;
  lastUsedAt: Date | null;
}>;

/** The token that `owner` makes at `now`: it ends no later than the token that makes it, if one does. */
export function newApiToken(
  owner: AccountPrincipal,
  input: { name: string; scopes: readonly Scope[]; expiresInSeconds: number | null },
  made: { id: string; secret: string; now: Date },
): ApiToken {
  const { token } = owner;
  const asked = input.expiresInSeconds === null ? null : +made.now + input.expiresInSeconds * 1000;
  const ends = [asked, token?.expiresAt ? +token.expiresAt : null].filter((end) => end !== null);
  return {
    id: made.id,
    accountId: owner.accountId,
    name: input.name,
    start: made.secret.slice(0, START_LENGTH),
    scopes: SCOPES.filter((scope) => input.scopes.includes(scope)),
    makers: token === undefined ? [] : [...token.makers, token.id],
    enabled: true,
    createdAt: made.now,
    expiresAt: ends.length === 0 ? null : new Date(Math.min(...ends)),
    lastUsedAt: null,
  };
}

export const isInForce = (token: ApiToken, now: Date): boolean =>
  token.enabled && (token.expiresAt === null || token.expiresAt > now);

/** How exact `lastUsedAt` is: a token in constant use costs one write in this time, not one a request. */
const LAST_USED_PRECISION_MS = 5 * 60_000;

export const isUseNoted = (token: ApiToken, now: Date): boolean =>
  token.lastUsedAt !== null && +now - +token.lastUsedAt < LAST_USED_PRECISION_MS;

export const toTokenView = (token: ApiToken): TokenView => ({
  id: token.id,
  name: token.name,
  start: token.start,
  scopes: token.scopes,
  createdAt: token.createdAt,
  expiresAt: token.expiresAt,
  lastUsedAt: token.lastUsedAt,
});
