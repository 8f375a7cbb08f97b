import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { isAccount } from "#db/accounts/accounts.ts";
import { insertNote, type Note } from "#db/accounts/notes.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

export type { Note };

/** Writes down what staff are to know about an account. What it says is in the note alone, and in no log. */
export async function addNote(
  deps: Pick<Deps, "db" | "clock" | "ids">,
  who: Pick<AccountPrincipal, "accountId" | "email">,
  { accountId, text }: { accountId: string; text: string },
): Promise<Result<Note, Refusal<"account_not_found">>> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Result<Note, Refusal<"account_not_found">>> => {
    if (!(await isAccount(tx, accountId))) return refuse("account_not_found", "no such account");
    const note = { id: at.newId(), accountId, authorId: who.accountId, text, writtenAt: at.now };
    await insertNote(tx, note);
    await recordChange(
      tx,
      {
        actor: { kind: "staff", id: who.accountId },
        action: "account.add_note",
        subject: { kind: "account", id: accountId },
        detail: { note_id: note.id },
        events: [],
      },
      at,
    );
    return ok({ ...note, authorEmail: who.email });
  });
}
