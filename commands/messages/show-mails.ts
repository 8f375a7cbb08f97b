import { holdsSecret } from "#core/messages/mail.ts";
import { parseLetter } from "#core/messages/mail-values.ts";
import { renderMail } from "#core/messages/render-mail.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { listMails, loadMail, type MailFilter, type MailRow } from "#db/messages/mails.ts";
import { refusalOf, type Refused } from "#db/messages/refusing-addresses.ts";
import type { Deps } from "#commands/deps.ts";
import { orderedPage } from "#commands/keyset.ts";
import type { Page, PageRequest } from "#commands/page.ts";

export type { MailRow };

/** What was mailed, or is to be, the newest first. */
export const showMails = (
  deps: Pick<Deps, "db">,
  filter: MailFilter,
  page: PageRequest,
): Promise<Result<Page<MailRow>, Refusal<"cursor_invalid">>> =>
  orderedPage(
    { list: "mails", sort: "-id", filter },
    page,
    (at) => listMails(deps.db, filter, at),
    ({ id }) => ({ key: "", id }),
  );

export type MailDetails = Readonly<{
  mail: MailRow;
  text: string | null;
  resendable: boolean;
  /** Why nothing more goes to its address; null: it does. */
  refusal: Refused | null;
}>;

/** Whether the same letter can go out again: it was written, is not about to go anyway, and holds no secret. */
export const isResendable = ({ kind, state, subject }: MailRow): boolean =>
  state !== "waiting" && subject !== null && !holdsSecret(kind);

/** A mail with what it says. Its letter is written anew from what filled it: a secret is not among that, and shows masked. */
export async function showMail(
  deps: Pick<Deps, "db">,
  id: string,
): Promise<Result<MailDetails, Refusal<"mail_not_found">>> {
  const mail = await loadMail(deps.db, id);
  if (mail === undefined) return refuse("mail_not_found", "no such mail");
  const text =
    mail.subject === null || mail.locale === null
      ? null
      : renderMail(parseLetter(mail.kind, mail.values), mail.locale).text;
  const refusal = mail.toAddress === null ? undefined : await refusalOf(deps.db, mail.toAddress);
  return ok({ mail, text, resendable: isResendable(mail), refusal: refusal ?? null });
}
