import type { LinkKind } from "#core/accounts/links.ts";
import { takeAttempt } from "#db/accounts/attempts.ts";
import { insertLink } from "#db/accounts/links.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/**
 * Asks for a link to be mailed to an address. What is done, and how long it takes, is the same whether the address has an
 * account or not: that is looked at when the mail is made (`send-link.ts`), which the sweep's relay begins.
 */
export async function askForLink(
  deps: Pick<Deps, "db" | "clock" | "ids">,
  kind: Exclude<LinkKind, "change_email">,
  typed: string,
): Promise<void> {
  const at = stamp(deps);
  const address = typed.trim().toLowerCase();
  await inTransaction(deps.db, async (tx) => {
    if ((await takeAttempt(tx, "mail", address, at.now)) !== undefined) return;
    const id = at.newId();
    await insertLink(tx, { id, kind, address, askedBy: null, askedAt: at.now });
    await recordChange(
      tx,
      {
        actor: { kind: "system", id: "log-in" },
        action: "account.ask_for_link",
        subject: { kind: "link", id },
        detail: { kind },
        events: [{ name: "account.link_asked_for.v1", data: { linkId: id } }],
      },
      at,
    );
  });
}
