import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { insertDueMails, loadMail } from "#db/messages/mails.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { isResendable, type MailRow } from "./show-mails.ts";

type Resent = Result<MailRow, Refusal<"mail_not_found" | "mail_not_resendable">>;

/**
 * Has a mail sent again as it was, to where its account's mail goes now: a mail of its own, which the next sweep sends. What holds a
 * link is not sent again: whoever needs one asks for it, and staff are no part of that.
 */
export async function resendMail(
  deps: Pick<Deps, "db" | "clock" | "ids">,
  who: Pick<AccountPrincipal, "accountId">,
  mailId: string,
): Promise<Resent> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Resent> => {
    const mail = await loadMail(tx, mailId);
    if (mail === undefined) return refuse("mail_not_found", "no such mail");
    const { kind, about, accountId, values } = mail;
    if (!isResendable(mail) || accountId === null)
      return refuse(
        "mail_not_resendable",
        "it waits to be sent, was never written, or holds a link: that is asked for anew by whom it is for",
      );
    const id = at.newId();
    // A mail that staff send again twice is two: each is its own cause.
    const again = {
      id,
      kind,
      cause: id,
      about,
      accountId,
      values: Object(values),
      resentFrom: mailId,
    };
    await insertDueMails(tx, [again], at.now);
    await recordChange(
      tx,
      {
        actor: { kind: "staff", id: who.accountId },
        action: "mail.resend",
        subject: { kind: "mail", id },
        detail: { resent_from: mailId, kind },
        events: [],
      },
      at,
    );
    const made = await loadMail(tx, id);
    if (made === undefined) throw new Error(`mail ${id} vanished`);
    return ok(made);
  });
}
