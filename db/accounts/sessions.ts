import { desc, eq, sql } from "drizzle-orm";
import type { Account } from "#core/accounts/accounts.ts";
import type { Db } from "#db/client.ts";
import { accounts, sessions } from "#db/schema/accounts.ts";
import { accountFromRow } from "./accounts.ts";

/** The session of a cookie's token, and its account. */
export async function findSession(
  db: Db,
  token: string,
): Promise<{ expiresAt: Date; secondFactor: boolean; account: Account } | undefined> {
  const [row] = await db
    .select({
      expiresAt: sessions.expiresAt,
      // A second factor that was turned off since then stands behind no session any more.
      secondFactor: sql<boolean>`${sessions.secondFactor} and ${accounts.twoFactorEnabled}`,
      account: accounts,
    })
    .from(sessions)
    .innerJoin(accounts, eq(accounts.id, sessions.userId))
    .where(eq(sessions.token, token));
  return row && { ...row, account: accountFromRow(row.account) };
}

/** A log-in, without what opens it. */
export type SessionRow = Readonly<{
  createdAt: Date;
  expiresAt: Date;
  ipAddress: string | null;
  userAgent: string | null;
  secondFactor: boolean;
}>;

/** The newest of an account's; what has ended may still be among them for a while. */
export async function latestSessionsOf(
  db: Db,
  accountId: string,
  limit: number,
): Promise<readonly SessionRow[]> {
  return db
    .select({
      createdAt: sessions.createdAt,
      expiresAt: sessions.expiresAt,
      ipAddress: sessions.ipAddress,
      userAgent: sessions.userAgent,
      secondFactor: sessions.secondFactor,
    })
    .from(sessions)
    .where(eq(sessions.userId, accountId))
    .orderBy(desc(sessions.createdAt))
    .limit(limit);
}
