import { and, desc, eq, or, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import type { Account } from "#core/accounts/accounts.ts";
import type { Db, Tx } from "#db/client.ts";
import { accounts, sessions } from "#db/schema/accounts.ts";
import { accountFromRow } from "./accounts.ts";

const impersonators = alias(accounts, "impersonators");

/** The session of a cookie's token, and its account. */
export async function findSession(
  db: Db,
  token: string,
): Promise<
  | { expiresAt: Date; secondFactor: boolean; account: Account; impersonator: Account | null }
  | undefined
> {
  const [row] = await db
    .select({
      expiresAt: sessions.expiresAt,
      // A second factor that was turned off since then stands behind no session any more.
      secondFactor: sql<boolean>`${sessions.secondFactor} and ${accounts.twoFactorEnabled}`,
      account: accounts,
      impersonator: impersonators,
    })
    .from(sessions)
    .innerJoin(accounts, eq(accounts.id, sessions.userId))
    .leftJoin(impersonators, eq(impersonators.id, sessions.impersonatedBy))
    .where(eq(sessions.token, token));
  return (
    row && {
      ...row,
      account: accountFromRow(row.account),
      impersonator: row.impersonator && accountFromRow(row.impersonator),
    }
  );
}

/** A log-in, without what opens it. */
export type SessionRow = Readonly<{
  createdAt: Date;
  expiresAt: Date;
  ipAddress: string | null;
  userAgent: string | null;
  secondFactor: boolean;
  /** Who of staff acts in it as this account; null: nobody does. */
  impersonatedBy: string | null;
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
      impersonatedBy: sessions.impersonatedBy,
    })
    .from(sessions)
    .where(eq(sessions.userId, accountId))
    .orderBy(desc(sessions.createdAt))
    .limit(limit);
}

/** Writes down a session in which somebody of staff acts as this account. */
export async function insertImpersonation(
  tx: Tx,
  session: Readonly<{
    id: string;
    accountId: string;
    impersonatedBy: string;
    token: string;
    userAgent: string;
    createdAt: Date;
    expiresAt: Date;
  }>,
): Promise<void> {
  const { accountId: userId, ...row } = session;
  await tx.insert(sessions).values({ ...row, userId, updatedAt: session.createdAt });
}

/** Ends those in which this member of staff acts as this account; how many there were. */
export async function deleteImpersonations(
  tx: Tx,
  of: { accountId: string; impersonatedBy: string },
): Promise<number> {
  const gone = await tx
    .delete(sessions)
    .where(and(eq(sessions.userId, of.accountId), eq(sessions.impersonatedBy, of.impersonatedBy)))
    .returning({ id: sessions.id });
  return gone.length;
}

/** Ends all sessions of an account, and those in which it acts as others. */
export async function deleteSessionsOf(tx: Tx, accountId: string): Promise<void> {
  await tx
    .delete(sessions)
    .where(or(eq(sessions.userId, accountId), eq(sessions.impersonatedBy, accountId)));
}
