import { parseLetter } from "#core/messages/mail-values.ts";
import { recipientOf } from "#db/messages/mails.ts";
import type { Filler } from "#commands/messages/send-mail.ts";

/** A log-in from somewhere new: from where was noted when it came. */
export const LOG_IN_MAIL: Filler = {
  fill: async (deps, { accountId, values }) => {
    const recipient = accountId === null ? undefined : await recipientOf(deps.db, accountId);
    if (accountId === null || recipient === undefined) return { drop: "nobody_to_mail" };
    const { to, locale } = recipient;
    return { accountId, to, locale, letter: parseLetter("new_log_in", values) };
  },
};
