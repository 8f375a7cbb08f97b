import { eq } from "drizzle-orm";
import type { Account } from "#core/accounts/accounts.ts";
import type { Db } from "#db/client.ts";
import { accounts, sessions } from "#db/schema/accounts.ts";
import { accountFromRow } from "./accounts.ts";

/** The session of a cookie's token, and its account. */
export async function findSession(
  db: Db,
  token: string,
): Promise<{ expiresAt: Date; account: Account } | undefined> {
  const [row] = await db
    .select({ expiresAt: sessions.expiresAt, account: accounts })
    .from(sessions)
    .innerJoin(accounts, eq(accounts.id, sessions.userId))
    .where(eq(sessions.token, token));
  return row && { expiresAt: row.expiresAt, account: accountFromRow(row.account) };
}
