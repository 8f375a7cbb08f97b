import { noticeKind, type MaintenanceWindow } from "#core/hosts/maintenance.ts";
import type { Tx } from "#db/client.ts";
import { accountsToTell, insertNotices, loadNotice, settleNotice } from "#db/hosts/maintenance.ts";
import { findMail, insertDueMails, recipientOf } from "#db/messages/mails.ts";
import { recordChanges, type Actor } from "#db/record-change.ts";
import { sendMail, type Filler, type MailDeps } from "#commands/messages/send-mail.ts";

type At = Readonly<{ now: Date; newId: () => string }>;

/**
 * Decides that customers are told of a window as it is now, each once: those with a VM on its host, or of them those alone that
 * were told otherwise. Their mails are sent after the commit.
 */
export async function tellOfWindow(
  tx: Tx,
  window: MaintenanceWindow,
  which: "told" | "all",
  at: At,
  actor: Actor,
): Promise<number> {
  const { id: windowId, hostId, revision } = window;
  const accounts = await accountsToTell(tx, window, which);
  const due = await insertNotices(
    tx,
    accounts.map((accountId) => ({ id: at.newId(), windowId, accountId, revision })),
    at.now,
  );
  await recordChanges(
    tx,
    due.map(({ id, accountId }) => ({
      actor,
      action: "account.tell_of_maintenance",
      subject: { kind: "account", id: accountId },
      detail: { window_id: windowId, host_id: hostId, revision },
      events: [{ name: "maintenance.notice_fell_due.v1", data: { noticeId: id } }],
    })),
    at,
  );
  await insertDueMails(
    tx,
    due.map(({ id, accountId }) => ({
      id: at.newId(),
      kind: "maintenance",
      cause: id,
      about: id,
      accountId,
    })),
    at.now,
  );
  return due.length;
}

/** Mails a notice that has just fallen due. May be repeated: what is not taken is tried again by the sweep of mails. */
export async function sendNotice(deps: MailDeps, noticeId: string): Promise<string> {
  const mail = await findMail(deps.db, { kind: "maintenance", cause: noticeId });
  return mail === undefined ? "nothing_to_do" : sendMail(deps, mail.id, NOTICE_MAIL);
}

const MOST_NAMED = 50;

/** A notice, unless a later one says it better by now. */
export const NOTICE_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const notice = await loadNotice(deps.db, about);
    if (notice === undefined || notice.settledAt !== null) return { drop: "settled" };
    const { window, accountId, hostnames } = notice;
    if (notice.revision !== window.revision || window.endsAt <= deps.clock.now())
      return { drop: "outdated" };
    const kind = noticeKind(window, notice.wasTold);
    const recipient = await recipientOf(deps.db, accountId);
    if (kind === null || recipient === undefined || hostnames.length === 0)
      return { drop: "nobody_to_mail" };
    const { to, locale } = recipient;
    const values = {
      window: window.kind,
      notice: kind,
      startsAt: window.startsAt.toISOString(),
      endsAt: window.endsAt.toISOString(),
      hostnames: hostnames.slice(0, MOST_NAMED),
      more: Math.max(0, hostnames.length - MOST_NAMED),
    };
    return { accountId, to, locale, letter: { kind: "maintenance", values } };
  },
  ended: (tx, { about }, { isSent: mailed, now }) => settleNotice(tx, about, { mailed, now }),
};
