import { noticeKind, noticeMail, type MaintenanceWindow } from "#core/hosts/maintenance.ts";
import type { Tx } from "#db/client.ts";
import { accountsToTell, insertNotices, loadNotice, settleNotice } from "#db/hosts/maintenance.ts";
import { recordChanges, type Actor } from "#db/record-change.ts";
import type { Deps } from "#commands/deps.ts";

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
  return due.length;
}

/**
 * Mails a notice, unless a later one says it better by now. May be repeated: after a crash between mail and commit it is mailed
 * twice, and never not at all. Throws when the mail is not taken: the message comes again, and the sweep has it too.
 */
export async function sendNotice(
  deps: Pick<Deps, "db" | "clock" | "mail">,
  noticeId: string,
): Promise<string> {
  const notice = await loadNotice(deps.db, noticeId);
  if (notice === undefined || notice.settledAt !== null) return "nothing_to_do";
  const { window, address, hostnames } = notice;
  const kind = noticeKind(window, notice.wasTold);
  const isOutdated = notice.revision !== window.revision || window.endsAt <= deps.clock.now();
  const isToMail = !isOutdated && kind !== null && address !== null && hostnames.length > 0;
  if (isToMail) await deps.mail.send(noticeMail(kind, address, window, hostnames));
  await settleNotice(deps.db, noticeId, { mailed: isToMail, now: deps.clock.now() });
  return isToMail ? "mailed" : "nobody_to_mail";
}
