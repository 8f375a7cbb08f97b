import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { accountOfLink, markEmailProven, spendLink } from "#db/accounts/links.ts";
import type { Tx } from "#db/client.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { hashOfLink } from "./send-link.ts";

type LinkDeps = Pick<Deps, "db" | "clock" | "ids">;

/** Uses up a link that was mailed to prove an address: the account's address is proven. */
export async function proveEmail(
  deps: LinkDeps,
  secret: string,
): Promise<Result<void, Refusal<"link_invalid">>> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Result<void, Refusal<"link_invalid">>> => {
    const accountId = await spendLink(tx, hashOfLink("prove_email", secret), at.now);
    if (accountId === undefined)
      return refuse("link_invalid", "this link was used, has ended, or was never one; ask again");
    await markProven(tx, accountId, at);
    return ok(undefined);
  });
}

/** Whose a link to a new password is; undefined when it is none any more. */
export const whoseReset = (deps: LinkDeps, secret: string): Promise<string | undefined> =>
  accountOfLink(deps.db, hashOfLink("reset_password", secret), deps.clock.now());

/** Who has used a link to a new password has shown that the address is theirs. */
export async function provenByReset(deps: LinkDeps, accountId: string): Promise<void> {
  const at = stamp(deps);
  await inTransaction(deps.db, (tx) => markProven(tx, accountId, at));
}

async function markProven(
  tx: Tx,
  accountId: string,
  at: { now: Date; newId: () => string },
): Promise<void> {
  if (!(await markEmailProven(tx, accountId, at.now))) return;
  await recordChange(
    tx,
    {
      actor: { kind: "account", id: accountId },
      action: "account.prove_email",
      subject: { kind: "account", id: accountId },
      events: [{ name: "account.email_proven.v1", data: { accountId } }],
    },
    at,
  );
}
