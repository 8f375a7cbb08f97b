import { createHash } from "node:crypto";
import { LINK_BYTES, LINK_LIVES_MS, linkOf } from "#core/accounts/links.ts";
import { giveSecret, holderOfLink, loadLink, markLinkSent } from "#db/accounts/links.ts";
import { inTransaction } from "#db/transaction.ts";
import type { Filler } from "#commands/messages/send-mail.ts";

export const hashOfLink = (secret: string): string =>
  createHash("sha256").update(secret).digest("base64url");

/**
 * A mail with a link. Its secret is drawn here, and kept nowhere but in the mail: tried again, another one is drawn, and takes
 * the place of the first.
 */
export const LINK_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const link = await loadLink(deps.db, about);
    const now = deps.clock.now();
    if (link === undefined || +now - +link.askedAt > LINK_LIVES_MS[link.kind])
      return { drop: "asked_too_long_ago" };
    const account = await holderOfLink(deps.db, link);
    if (account === undefined || (link.kind === "prove_email" && account.emailVerified))
      return { drop: "nobody_to_mail" };
    const secret = deps.secrets.newSecret(LINK_BYTES);
    await inTransaction(deps.db, (tx) =>
      giveSecret(tx, link, {
        accountId: account.id,
        secretHash: hashOfLink(secret),
        endsAt: new Date(+now + LINK_LIVES_MS[link.kind]),
        now,
      }),
    );
    return {
      accountId: account.id,
      to: link.address,
      locale: account.locale,
      letter: { kind: link.kind, values: {} },
      link: linkOf(link.kind, { publicUrl: deps.settings.publicUrl, secret }),
    };
  },
  ended: (tx, { about }, { now }) => markLinkSent(tx, about, now),
};
