import { forgetLinks, holderOfLink, loadLink, markLinkSent } from "#db/accounts/links.ts";
import { findMail, insertDueMails } from "#db/messages/mails.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { sendMail, type MailDeps } from "#commands/messages/send-mail.ts";
import { LINK_MAIL } from "./fill-link-mail.ts";

/**
 * Mails a link that was asked for, once, and at once: somebody waits for it. May be repeated. Of an address that nobody has, and
 * of a new one that somebody has, no mail falls due.
 */
export async function sendLink(
  deps: MailDeps & Pick<Deps, "ids">,
  linkId: string,
): Promise<string> {
  const link = await loadLink(deps.db, linkId);
  if (link === undefined || link.sentAt !== null) return "nothing_to_do";
  const { now, newId } = stamp(deps);
  const account = await holderOfLink(deps.db, link);
  if (account === undefined || (link.kind === "prove_email" && account.emailVerified)) {
    await markLinkSent(deps.db, linkId, now);
    return "nobody_to_mail";
  }
  const due = { kind: link.kind, cause: linkId, about: linkId, accountId: account.id };
  await insertDueMails(deps.db, [{ id: newId(), ...due }], now);
  const mail = await findMail(deps.db, due);
  return mail === undefined ? "nothing_to_do" : sendMail(deps, mail.id, LINK_MAIL);
}

/** Longer than any link lives, and any limit counts. */
const KEPT_MS = 2 * 24 * 60 * 60_000;

export async function forgetOldLinks(
  deps: Pick<Deps, "db" | "clock">,
): Promise<{ forgotten: number }> {
  return { forgotten: await forgetLinks(deps.db, new Date(+deps.clock.now() - KEPT_MS)) };
}
