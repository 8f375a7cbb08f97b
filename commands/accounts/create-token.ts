import {
  isWriting,
  type AccountPrincipal,
  type Scope,
  type TokenView,
} from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { claimKey, keepAnswer } from "#db/messages/idempotency.ts";
import { inTransaction } from "#db/transaction.ts";
import type { RequestKey } from "#commands/messages/answer-once.ts";
import type { Deps } from "#commands/deps.ts";

type CreateTokenRefusal = Refusal<
  | "scope_not_allowed"
  | "second_factor_required"
  | "token_limit"
  | "idempotency_key_reused"
  | "secret_shown_once"
>;

/**
 * Makes an API token. With a client's key it makes at most one: the key is claimed before, and committed, since the
 * accounts write for themselves; a repeat is refused, because the secret is nowhere to be shown again from. It is
 * refused too when the first request broke off, and may or may not have made the token.
 */
export async function createToken(
  deps: Pick<Deps, "accounts" | "clock" | "db" | "ids">,
  who: AccountPrincipal,
  key: RequestKey | undefined,
  input: { name: string; scopes: readonly Scope[]; expiresInSeconds: number | null },
): Promise<Result<{ token: TokenView; secret: string }, CreateTokenRefusal>> {
  const writesForStaff = who.role === "staff" && input.scopes.some(isWriting);
  if (writesForStaff && who.via === "token")
    return refuse("second_factor_required", STAFF_BY_LOG_IN);
  const stronger = input.scopes.find((scope) => !who.scopes.includes(scope));
  if (stronger !== undefined)
    return refuse("scope_not_allowed", `you do not have the scope ${stronger}`);
  if (key !== undefined) {
    const claimed = await claim(deps, key);
    if (!claimed.ok) return claimed;
  }
  const created = await deps.accounts.createToken(who, {
    ...input,
    expiresInSeconds: writesForStaff
      ? atMost(STAFF_TOKEN_SECONDS, input.expiresInSeconds)
      : input.expiresInSeconds,
  });
  if (key !== undefined && !created.ok) await keepAnswer(deps.db, key, created.error.code);
  return created;
}

/** How long a token lives with which staff change things. */
const STAFF_TOKEN_SECONDS = 90 * 86_400;
const STAFF_BY_LOG_IN =
  "a token with which staff change things is made in a log-in with a second factor, and by no token";
const atMost = (most: number, asked: number | null): number => Math.min(most, asked ?? most);

const claim = (
  deps: Pick<Deps, "clock" | "db" | "ids">,
  key: RequestKey,
): Promise<Result<void, CreateTokenRefusal>> =>
  inTransaction(deps.db, async (tx): Promise<Result<void, CreateTokenRefusal>> => {
    const claimed = await claimKey(tx, key, deps.ids.newId(), deps.clock.now());
    if (!claimed.ok) return claimed;
    switch (claimed.value.kind) {
      case "first":
        return ok(undefined);
      case "answered": // with a refusal: nothing else is kept
        return refuse("token_limit", "the first request with this key was refused; use a new one");
      case "resume":
        return refuse(
          "secret_shown_once",
          "this key has been used, and the secret was in the first answer only; look for the token in the list, " +
            "revoke it, and make another with a new key",
        );
    }
  });
