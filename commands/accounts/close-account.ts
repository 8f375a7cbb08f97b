import { actorOf, type Account, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadAccountHeld, saveClosed } from "#db/accounts/accounts.ts";
import { deleteAllApiTokens } from "#db/accounts/api-tokens.ts";
import { deleteSessionsOf } from "#db/accounts/sessions.ts";
import type { Tx } from "#db/client.ts";
import { recordChange } from "#db/record-change.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";

export type CloseRefusal = Refusal<"account_not_found" | "forbidden">;

/**
 * Closes an account, or opens it again, with a reason. Its sessions and tokens end at once and for good: opened again, it logs in
 * anew. Its VMs run on and are charged; whoever wants them stopped suspends them. Staff's accounts are an owner's to close, and
 * nobody closes their own.
 */
export const closeAccount = (
  deps: Deps,
  input: Asked & { who: AccountPrincipal; accountId: string; reason: string; closes: boolean },
): Promise<Result<ForcedPlan, CloseRefusal | Refusal<"plan_changed">>> =>
  force(deps, input, async (tx): Promise<Result<Planned<null, CloseRefusal>, CloseRefusal>> => {
    const { who, accountId, closes } = input;
    const account = await loadAccountHeld(tx, accountId);
    if (!account) return refuse("account_not_found", "no such account");
    if (accountId === who.accountId) return refuse("forbidden", "nobody closes their own account");
    if (account.role === "staff" && who.staffRole !== "owner")
      return refuse("forbidden", "an owner closes and opens the accounts of staff");
    const isSo = (account.bannedAt !== null) === closes;
    return ok({
      of: { accountId, closes, closedAt: account.bannedAt?.toISOString() ?? null },
      effects: isSo
        ? [`nothing: it is ${closes ? "closed" : "open"} already`]
        : EFFECTS[`${closes}`],
      act: async () => {
        if (!isSo) await write(deps, tx, { ...input, account });
        return ok(null);
      },
    });
  });

const EFFECTS = {
  true: [
    "its sessions and tokens end at once, and nobody logs in to it",
    "its VMs run on and are charged: suspend or delete them apart from this",
  ],
  false: ["its owner can log in again; sessions and tokens of before stay ended"],
} as const;

async function write(
  deps: Deps,
  tx: Tx,
  of: { who: AccountPrincipal; account: Account; closes: boolean; reason: string },
): Promise<void> {
  const { who, account, closes, reason } = of;
  const { accountId } = account;
  const at = stamp(deps);
  await saveClosed(tx, accountId, closes ? at.now : null, at.now);
  if (closes) {
    await deleteSessionsOf(tx, accountId);
    await deleteAllApiTokens(tx, accountId);
  }
  await recordChange(
    tx,
    {
      actor: actorOf(who),
      action: closes ? "account.close" : "account.reopen",
      subject: { kind: "account", id: accountId },
      detail: { reason },
      events: [{ name: closes ? "account.closed.v1" : "account.reopened.v1", data: { accountId } }],
    },
    at,
  );
}
