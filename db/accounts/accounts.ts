import type { Account } from "#core/accounts/accounts.ts";
import type { accounts } from "#db/schema/accounts.ts";

export const accountFromRow = (row: typeof accounts.$inferSelect): Account => ({
  accountId: row.id,
  email: row.email,
  name: row.name,
  role: row.role,
  bannedAt: row.bannedAt,
});
