import type { MailEvent } from "#core/messages/mail-event.ts";
import { STATE_OF_REFUSED } from "#core/messages/mail.ts";
import { holdMail, noteRefusal, noteSaid } from "#db/messages/refusing-addresses.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

export type MailEventOutcome = "refused" | "noted" | "known" | "mail_unknown";

/**
 * Notes what became of a mail after it was sent. What its address refused for good ends mail to that address, which is the row's, and
 * not what the event says; what it may take another time is written to the mail and no more. May be repeated: once a mail is known to be
 * refused, the same event changes nothing, so that one that comes late undoes nothing that staff have done since.
 *
 * An event that is faster than the sender's own commit finds the mail waiting: then the address alone is noted, and the sender ends the
 * mail as that (`endMail`).
 */
export async function noteMailEvent(
  deps: Pick<Deps, "db" | "clock" | "ids">,
  event: MailEvent,
): Promise<MailEventOutcome> {
  const at = stamp(deps);
  const { mailId, reason } = event;
  return inTransaction(deps.db, async (tx): Promise<MailEventOutcome> => {
    const mail = await holdMail(tx, mailId);
    if (mail === undefined || mail.address === null) return "mail_unknown";
    const { state, address } = mail;
    if (event.told === "noted") {
      if (state !== "sent") return "known";
      await noteSaid(tx, mailId, { state, said: reason });
      return "noted";
    }
    const { kind } = event;
    const becomes = STATE_OF_REFUSED[kind];
    if (state === becomes) return "known";
    await noteRefusal(tx, { address, kind, reason, mailId, notedAt: at.now });
    if (state !== "waiting") await noteSaid(tx, mailId, { state: becomes, said: reason });
    await recordChange(
      tx,
      {
        actor: { kind: "provider", id: "ses" },
        action: "mail.refuse",
        subject: { kind: "mail", id: mailId },
        detail: { kind },
        events: [],
      },
      at,
    );
    return "refused";
  });
}
