import { passwordFault } from "#core/accounts/passwords.ts";
import type { LogIns } from "#core/accounts/accounts.ts";
import type { LinkKind } from "#core/accounts/links.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { forgetNewAddresses, markEmailProven, spendLink } from "#db/accounts/links.ts";
import type { Tx } from "#db/client.ts";
import { forgetRefusal } from "#db/messages/refusing-addresses.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { rememberNetwork } from "./slow-down.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";
import { hashOfLink } from "./fill-link-mail.ts";

type LinkDeps = Pick<Deps, "db" | "clock" | "ids">;
type At = ReturnType<typeof stamp>;

export const linkInvalid = () =>
  refuse("link_invalid", "this link was used, has ended, or was never one; ask again");

/** Uses up a link that was mailed to prove an address: the account's address is proven. */
export async function proveEmail(
  deps: LinkDeps,
  secret: string,
): Promise<Result<void, Refusal<"link_invalid">>> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Result<void, Refusal<"link_invalid">>> => {
    const used = await useLink(tx, "prove_email", secret, at);
    return used.ok ? ok(undefined) : used;
  });
}

/**
 * Uses up a link that was mailed for a new password, and sets it: all sessions end, and all API tokens if that is asked for. So does
 * a change of address that was asked for and is not made: whoever asked knew the password.
 * The link is used up first, so that it is good once whatever happens then; after a crash another one is asked for. A
 * password that is refused uses nothing up. Who reads the address' mail is let in at once from where they are, whoever else
 * guesses at the account.
 */
export async function resetPassword(
  deps: LinkDeps & Pick<Deps, "accounts"> & Readonly<{ logIns: Pick<LogIns, "setPassword"> }>,
  input: {
    secret: string;
    newPassword: string;
    revokeTokens: boolean;
    callerAddress: string | undefined;
    agent: string | undefined;
  },
): Promise<Result<void, Refusal<"link_invalid" | "password_unfit">>> {
  const at = stamp(deps);
  const used = await undoOnRefusal(
    deps.db,
    async (tx): Promise<Result<Used, Refusal<"link_invalid" | "password_unfit">>> => {
      const link = await useLink(tx, "reset_password", input.secret, at);
      if (!link.ok) return link;
      const { accountId, email, name } = link.value;
      const fault = passwordFault(input.newPassword, [email, name]);
      if (fault !== undefined) return refuse("password_unfit", fault);
      await forgetNewAddresses(tx, accountId);
      return link;
    },
  );
  if (!used.ok) return used;
  const { accountId, email } = used.value;
  if (input.revokeTokens) await deps.accounts.revokeAllTokens(accountId);
  await deps.logIns.setPassword(accountId, input.newPassword);
  await rememberNetwork(deps, email, input);
  return ok(undefined);
}

type Used = Readonly<{ accountId: string; email: string; name: string }>;

/**
 * Answers the account, with its address and name. Who uses a link has read what was mailed to the address: it is proven, and takes
 * mail, whatever was known of it.
 */
async function useLink(
  tx: Tx,
  kind: Exclude<LinkKind, "change_email">,
  secret: string,
  at: At,
): Promise<Result<Used, Refusal<"link_invalid">>> {
  const spent = await spendLink(tx, kind, hashOfLink(secret), at.now);
  const proven = spent && (await markEmailProven(tx, spent, at.now));
  if (spent === undefined || proven === undefined) return linkInvalid();
  const { accountId, address: email } = spent;
  await forgetRefusal(tx, email);
  const { firstTime, name } = proven;
  await recordChange(
    tx,
    {
      actor: { kind: "account", id: accountId },
      action: `account.${kind}`,
      subject: { kind: "account", id: accountId },
      events: firstTime ? [{ name: "account.email_proven.v1", data: { accountId } }] : [],
    },
    at,
  );
  return ok({ accountId, email, name });
}
