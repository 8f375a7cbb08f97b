import { addressOf, parseLetter } from "#core/messages/mail-values.ts";
import { recipientOf } from "#db/messages/mails.ts";
import type { Filler } from "#commands/messages/send-mail.ts";

/** A change of address that was asked for, or made: told to the address of before, which was noted when it came about. */
export const ADDRESS_MAIL: Filler = {
  fill: async (deps, { kind, accountId, values }) => {
    const recipient = accountId === null ? undefined : await recipientOf(deps.db, accountId);
    if (accountId === null || recipient === undefined) return { drop: "nobody_to_mail" };
    const letter = parseLetter(kind, values);
    return { accountId, to: addressOf(letter) ?? recipient.to, locale: recipient.locale, letter };
  },
};
