import { desc, eq } from "drizzle-orm";
import type { Db, Tx } from "#db/client.ts";
import { accountNotes, accounts } from "#db/schema/accounts.ts";

export type Note = Readonly<{
  id: string;
  accountId: string;
  authorId: string;
  authorEmail: string;
  text: string;
  writtenAt: Date;
}>;

export async function insertNote(tx: Tx, note: Omit<Note, "authorEmail">): Promise<void> {
  await tx.insert(accountNotes).values(note);
}

/** The newest of an account's. */
export async function latestNotesOf(
  db: Db,
  accountId: string,
  limit: number,
): Promise<readonly Note[]> {
  return db
    .select({
      id: accountNotes.id,
      accountId: accountNotes.accountId,
      authorId: accountNotes.authorId,
      authorEmail: accounts.email,
      text: accountNotes.text,
      writtenAt: accountNotes.writtenAt,
    })
    .from(accountNotes)
    .innerJoin(accounts, eq(accounts.id, accountNotes.authorId))
    .where(eq(accountNotes.accountId, accountId))
    .orderBy(desc(accountNotes.id))
    .limit(limit);
}
