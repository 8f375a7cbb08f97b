import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { takeAttempt } from "#db/accounts/attempts.ts";
import { insertLink } from "#db/accounts/links.ts";
import { insertDueMails } from "#db/messages/mails.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { tooOften } from "./slow-down.ts";

type Asked = Result<void, Refusal<"forbidden" | "rate_limited">>;

/**
 * Asks for another e-mail address, for who has just shown their password: a link is mailed to the new one, a notice to the one of
 * now, and nothing changes until the link is used (`change-address.ts`). The answer is the same whoever has the new address: that is
 * looked at when the link is mailed (`send-link.ts`), as with all links. Staff's addresses are their log-in to everybody's
 * machines, and are not theirs to change.
 */
export async function askForNewAddress(
  deps: Pick<Deps, "db" | "clock" | "ids">,
  who: AccountPrincipal,
  typed: string,
): Promise<Asked> {
  const { accountId, email } = who;
  if (who.role === "staff") return refuse("forbidden", "staff do not change their own address");
  const address = typed.trim().toLowerCase();
  if (address === email) return ok(undefined);
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Asked> => {
    const runsOutAt = await takeAttempt(tx, "new_address", accountId, at.now);
    if (runsOutAt !== undefined) return tooOften("new_address", runsOutAt, at.now);
    // To one address no more links go than there may, whoever asks for them; nobody is told that there were others.
    if ((await takeAttempt(tx, "mail", address, at.now)) !== undefined) return ok(undefined);
    const id = at.newId();
    await insertLink(tx, {
      id,
      kind: "change_email",
      address,
      askedBy: accountId,
      askedAt: at.now,
    });
    const notice = {
      id: at.newId(),
      kind: "email_change_asked" as const,
      cause: id,
      about: accountId,
      accountId,
      values: { to: email, newAddress: address, at: at.now.toISOString() },
    };
    await insertDueMails(tx, [notice], at.now);
    await recordChange(
      tx,
      {
        actor: { kind: "account", id: accountId },
        action: "account.ask_for_new_address",
        subject: { kind: "account", id: accountId },
        detail: { link_id: id },
        events: [{ name: "account.link_asked_for.v1", data: { linkId: id } }],
      },
      at,
    );
    return ok(undefined);
  });
}
