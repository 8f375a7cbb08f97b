import { and, eq, ne } from "drizzle-orm";
import { MAX_NAME_LENGTH, type Account, type StaffRole } from "#core/accounts/accounts.ts";
import type { Locale } from "#core/messages/locale.ts";
import type { Db, Tx } from "#db/client.ts";
import { accounts } from "#db/schema/accounts.ts";

export const accountFromRow = (row: typeof accounts.$inferSelect): Account => ({
  accountId: row.id,
  email: row.email,
  name: row.name,
  role: row.role,
  staffRole: row.staffRole,
  bannedAt: row.bannedAt,
});

/** Whether its owner has opened a link that was mailed to them. */
export async function isEmailProven(db: Db, accountId: string): Promise<boolean> {
  const [row] = await db
    .select({ proven: accounts.emailVerified })
    .from(accounts)
    .where(eq(accounts.id, accountId));
  return row?.proven ?? false;
}

export async function isAccount(db: Db, accountId: string): Promise<boolean> {
  const rows = await db
    .select({ id: accounts.id })
    .from(accounts)
    .where(eq(accounts.id, accountId));
  return rows.length > 0;
}

/**
 * The account with this address, locked: a new one of staff's where there was none, whose address counts as proven, since who
 * adds staff knows whose it is. Of two who add one at once, the second finds the first's.
 */
export async function ensureStaff(
  tx: Tx,
  { id, email, staffRole, now }: { id: string; email: string; staffRole: StaffRole; now: Date },
): Promise<Account> {
  await tx
    .insert(accounts)
    .values({
      id,
      email,
      emailVerified: true,
      name: email.slice(0, MAX_NAME_LENGTH),
      role: "staff",
      staffRole,
      createdAt: now,
      updatedAt: now,
    })
    .onConflictDoNothing({ target: accounts.email });
  const [row] = await tx.select().from(accounts).where(eq(accounts.email, email)).for("update");
  if (row === undefined) throw new Error("the account vanished");
  return accountFromRow(row);
}

/** In force at the account's next request. */
export async function changeStaffRole(
  tx: Tx,
  accountId: string,
  staffRole: StaffRole,
  now: Date,
): Promise<void> {
  await tx.update(accounts).set({ staffRole, updatedAt: now }).where(eq(accounts.id, accountId));
}

/** The account, held until the transaction ends; undefined: there is none. */
export async function loadAccountHeld(tx: Tx, accountId: string): Promise<Account | undefined> {
  const [row] = await tx
    .select()
    .from(accounts)
    .where(eq(accounts.id, accountId))
    .for("no key update");
  return row && accountFromRow(row);
}

/** In force at the account's next request. */
export async function saveClosed(
  tx: Tx,
  accountId: string,
  bannedAt: Date | null,
  now: Date,
): Promise<void> {
  await tx.update(accounts).set({ bannedAt, updatedAt: now }).where(eq(accounts.id, accountId));
}

/** It is proven by the link that it was changed by. An address that another account has breaks `accounts_email_unique`. */
export async function saveAddress(
  tx: Tx,
  accountId: string,
  email: string,
  now: Date,
): Promise<void> {
  await tx
    .update(accounts)
    .set({ email, emailVerified: true, updatedAt: now })
    .where(eq(accounts.id, accountId));
}

/** Whatever locks the account waits from here on. */
export async function lockAccount(tx: Tx, accountId: string): Promise<void> {
  await tx
    .select({ id: accounts.id })
    .from(accounts)
    .where(eq(accounts.id, accountId))
    .for("no key update");
}

export async function saveLocale(db: Db, email: string, locale: Locale): Promise<void> {
  await db.update(accounts).set({ locale }).where(eq(accounts.email, email));
}

/** False where it is that already. */
export async function changeLocale(
  tx: Tx,
  accountId: string,
  locale: Locale,
  now: Date,
): Promise<boolean> {
  const rows = await tx
    .update(accounts)
    .set({ locale, updatedAt: now })
    .where(and(eq(accounts.id, accountId), ne(accounts.locale, locale)))
    .returning({ id: accounts.id });
  return rows.length > 0;
}

export async function localeOfAccount(db: Db, accountId: string): Promise<Locale> {
  const [row] = await db
    .select({ locale: accounts.locale })
    .from(accounts)
    .where(eq(accounts.id, accountId));
  if (row === undefined) throw new Error(`account ${accountId} vanished`);
  return row.locale;
}
