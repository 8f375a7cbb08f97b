import { createHash } from "node:crypto";
import { LINK_BYTES, LINK_LIVES_MS, mailOf } from "#core/accounts/links.ts";
import {
  findAccountByAddress,
  forgetLinks,
  loadLink,
  giveSecret,
  markLinkSent,
} from "#db/accounts/links.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

export const hashOfLink = (secret: string): string =>
  createHash("sha256").update(secret).digest("base64url");

/**
 * Mails a link that was asked for. Its secret is drawn here, and kept nowhere but in the mail: repeated after a crash, another
 * one is drawn, and takes the place of the first. Throws when the mail is not taken: the message comes again.
 */
export async function sendLink(
  deps: Pick<Deps, "db" | "clock" | "ids" | "secrets" | "mail" | "settings">,
  linkId: string,
): Promise<string> {
  const link = await loadLink(deps.db, linkId);
  if (link === undefined || link.sentAt !== null) return "nothing_to_do";
  const at = stamp(deps);
  const account = await findAccountByAddress(deps.db, link.address);
  if (account === undefined || (link.kind === "prove_email" && account.emailVerified)) {
    await markLinkSent(deps.db, linkId, at.now);
    return "nobody_to_mail";
  }
  const secret = deps.secrets.newSecret(LINK_BYTES);
  await inTransaction(deps.db, (tx) =>
    giveSecret(tx, link, {
      accountId: account.id,
      secretHash: hashOfLink(secret),
      endsAt: new Date(+at.now + LINK_LIVES_MS[link.kind]),
      now: at.now,
    }),
  );
  const { publicUrl } = deps.settings;
  await deps.mail.send(mailOf(link.kind, link.address, { publicUrl, secret }));
  await markLinkSent(deps.db, linkId, at.now);
  return "mailed";
}

/** Longer than any link lives, and any limit counts. */
const KEPT_MS = 2 * 24 * 60 * 60_000;

export async function forgetOldLinks(
  deps: Pick<Deps, "db" | "clock">,
): Promise<{ forgotten: number }> {
  return { forgotten: await forgetLinks(deps.db, new Date(+deps.clock.now() - KEPT_MS)) };
}
