import { eq } from "drizzle-orm";
import type { Account } from "#core/accounts/accounts.ts";
import type { Db, Tx } from "#db/client.ts";
import { accounts } from "#db/schema/accounts.ts";

export const accountFromRow = (row: typeof accounts.$inferSelect): Account => ({
  accountId: row.id,
  email: row.email,
  name: row.name,
  role: row.role,
  bannedAt: row.bannedAt,
});

export async function isAccount(db: Db, accountId: string): Promise<boolean> {
  const rows = await db
    .select({ id: accounts.id })
    .from(accounts)
    .where(eq(accounts.id, accountId));
  return rows.length > 0;
}

/** Whatever locks the account waits from here on. */
export async function lockAccount(tx: Tx, accountId: string): Promise<void> {
  await tx
    .select({ id: accounts.id })
    .from(accounts)
    .where(eq(accounts.id, accountId))
    .for("no key update");
}
