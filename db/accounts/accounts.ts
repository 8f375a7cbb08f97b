import { eq } from "drizzle-orm";
import type { Account } from "#core/accounts/accounts.ts";
import type { Tx } from "#db/client.ts";
import { accounts } from "#db/schema/accounts.ts";

export const accountFromRow = (row: typeof accounts.$inferSelect): Account => ({
  accountId: row.id,
  email: row.email,
  name: row.name,
  role: row.role,
  bannedAt: row.bannedAt,
});

/** Whatever locks the account waits from here on. */
export async function lockAccount(tx: Tx, accountId: string): Promise<void> {
  await tx
    .select({ id: accounts.id })
    .from(accounts)
    .where(eq(accounts.id, accountId))
    .for("no key update");
}
