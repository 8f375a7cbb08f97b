import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadAccountHeld } from "#db/accounts/accounts.ts";
import { deleteImpersonations, insertImpersonation } from "#db/accounts/sessions.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

export type Impersonation = Readonly<{ cookie: string; expiresAt: Date }>;
type Refused = Refusal<"account_not_found" | "account_closed" | "forbidden">;

/**
 * Begins a session in which a member of staff acts as a customer, with a reason: an hour at most, whatever is done in it. The customer
 * sees it among their sessions and may end it. Nothing that outlives it can be done in it (`scopesOfImpersonator`), and the audit
 * log names both.
 */
export async function impersonate(
  deps: Deps,
  asked: { who: AccountPrincipal; accountId: string; reason: string; minutes: number },
): Promise<Result<Impersonation, Refused>> {
  const { who, accountId, reason, minutes } = asked;
  const at = stamp(deps);
  const session = await deps.accounts.newSession(minutes);
  return inTransaction(deps.db, async (tx): Promise<Result<Impersonation, Refused>> => {
    const account = await loadAccountHeld(tx, accountId);
    if (!account) return refuse("account_not_found", "no such account");
    if (account.role !== "customer") return refuse("forbidden", "this is for customers' accounts");
    if (account.bannedAt !== null) return refuse("account_closed", "this account is closed");
    const { token, cookie, createdAt, expiresAt } = session;
    await insertImpersonation(tx, {
      id: at.newId(),
      accountId,
      impersonatedBy: who.accountId,
      token,
      // What the customer reads in their list of sessions, where a browser's name stands otherwise.
      userAgent: `our staff, as you: ${who.name}`,
      createdAt,
      expiresAt,
    });
    await recordChange(
      tx,
      {
        actor: { ...actorOf(who), onBehalfOf: accountId },
        action: "account.impersonate",
        subject: { kind: "account", id: accountId },
        detail: { reason, until: expiresAt.toISOString() },
        events: [{ name: "account.impersonation_began.v1", data: { accountId } }],
      },
      at,
    );
    return ok({ cookie, expiresAt });
  });
}

/** Ends all of one's sessions as this customer. Without any, it changes nothing. */
export async function endImpersonation(
  deps: Deps,
  { who, accountId }: { who: AccountPrincipal; accountId: string },
): Promise<void> {
  const at = stamp(deps);
  await inTransaction(deps.db, async (tx) => {
    const impersonatedBy = who.accountId;
    if ((await deleteImpersonations(tx, { accountId, impersonatedBy })) === 0) return;
    await recordChange(
      tx,
      {
        actor: { ...actorOf(who), onBehalfOf: accountId },
        action: "account.end_impersonation",
        subject: { kind: "account", id: accountId },
        events: [{ name: "account.impersonation_ended.v1", data: { accountId } }],
      },
      at,
    );
  });
}
