import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Refusal, Result } from "#core/result.ts";
import { forgetRefusal, holdMail } from "#db/messages/refusing-addresses.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { showMail, type MailDetails } from "./show-mails.ts";

/**
 * Mail goes to a mail's address again, whatever it refused: its owner says so. What the provider itself holds back it goes on to hold back
 * (docs/runbooks/monitoring.md).
 */
export async function clearMailAddress(
  deps: Pick<Deps, "db" | "clock" | "ids">,
  who: Pick<AccountPrincipal, "accountId">,
  mailId: string,
): Promise<Result<MailDetails, Refusal<"mail_not_found">>> {
  const at = stamp(deps);
  await inTransaction(deps.db, async (tx) => {
    const address = (await holdMail(tx, mailId))?.address ?? null;
    if (address === null || !(await forgetRefusal(tx, address))) return;
    await recordChange(
      tx,
      {
        actor: { kind: "staff", id: who.accountId },
        action: "mail.clear_address",
        subject: { kind: "mail", id: mailId },
        events: [],
      },
      at,
    );
  });
  return showMail(deps, mailId);
}
