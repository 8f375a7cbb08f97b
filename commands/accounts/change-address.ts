import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadAccountHeld, saveAddress } from "#db/accounts/accounts.ts";
import { forgetNewAddresses, spendLink } from "#db/accounts/links.ts";
import { deleteSessionsOf } from "#db/accounts/sessions.ts";
import { letAddressFallDue } from "#db/billing/customers.ts";
import type { Tx } from "#db/client.ts";
import { insertDueMails } from "#db/messages/mails.ts";
import { forgetRefusal } from "#db/messages/refusing-addresses.ts";
import { recordChange } from "#db/record-change.ts";
import { violates } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";
import { hashOfLink } from "./fill-link-mail.ts";
import { linkInvalid } from "./use-link.ts";

type Changed = Result<void, Refusal<"link_invalid" | "email_taken">>;

/**
 * Uses up a link that was mailed to a new address: the account has that address from now on, which its link proves. All sessions
 * end, as they began with a name that is the account's no more; so do links that were mailed to the address of before, by the
 * address that stands with each (`markEmailProven`). The payment provider is told by the event. An address that somebody took since
 * it was asked for is refused: whoever uses the link reads its mail, and is told nothing new. A refusal uses nothing up.
 */
export async function changeAddress(
  deps: Pick<Deps, "db" | "clock" | "ids">,
  secret: string,
): Promise<Changed> {
  const at = stamp(deps);
  try {
    return await undoOnRefusal(deps.db, (tx) => change(tx, secret, at));
  } catch (error) {
    if (!violates(error, "accounts_email_unique")) throw error;
    return refuse("email_taken", "there is an account with this address now");
  }
}

async function change(tx: Tx, secret: string, at: ReturnType<typeof stamp>): Promise<Changed> {
  const spent = await spendLink(tx, "change_email", hashOfLink(secret), at.now);
  const account = spent && (await loadAccountHeld(tx, spent.accountId));
  if (spent === undefined || account === undefined || account.bannedAt !== null)
    return linkInvalid();
  const { accountId, email: before } = account;
  await saveAddress(tx, accountId, spent.address, at.now);
  await forgetRefusal(tx, spent.address);
  await deleteSessionsOf(tx, accountId);
  await forgetNewAddresses(tx, accountId);
  await letAddressFallDue(tx, accountId, at.now);
  const id = at.newId();
  const values = { to: before, newAddress: spent.address, at: at.now.toISOString() };
  const notice = { id, cause: id, kind: "email_changed" as const, about: accountId };
  await insertDueMails(tx, [{ ...notice, accountId, values }], at.now);
  await recordChange(
    tx,
    {
      actor: { kind: "account", id: accountId },
      action: "account.change_address",
      subject: { kind: "account", id: accountId },
      detail: { before, after: spent.address },
      events: [{ name: "account.email_changed.v1", data: { accountId } }],
    },
    at,
  );
  return ok(undefined);
}
