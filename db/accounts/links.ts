import { and, eq, gt, isNull, lt } from "drizzle-orm";
import type { LinkKind } from "#core/accounts/links.ts";
import type { Locale } from "#core/messages/locale.ts";
import type { Db, Tx } from "#db/client.ts";
import { accounts, mailedLinks } from "#db/schema/accounts.ts";

export type AskedLink = Readonly<{
  id: string;
  kind: LinkKind;
  address: string;
  askedAt: Date;
  sentAt: Date | null;
}>;

export async function insertLink(tx: Tx, link: Omit<AskedLink, "sentAt">): Promise<void> {
  await tx.insert(mailedLinks).values(link);
}

export async function loadLink(db: Db, id: string): Promise<AskedLink | undefined> {
  const [row] = await db.select().from(mailedLinks).where(eq(mailedLinks.id, id));
  return row;
}

/** The account with this address, unless it is closed. */
export async function findAccountByAddress(
  db: Db,
  address: string,
): Promise<{ id: string; emailVerified: boolean; locale: Locale } | undefined> {
  const [row] = await db.select().from(accounts).where(eq(accounts.email, address));
  return row?.bannedAt === null ? row : undefined;
}

/**
 * Gives a link its secret, by the secret's hash, and ends the account's earlier links of its kind: the last one mailed is the
 * one that works.
 */
export async function giveSecret(
  tx: Tx,
  link: AskedLink,
  given: { accountId: string; secretHash: string; endsAt: Date; now: Date },
): Promise<void> {
  await tx
    .update(mailedLinks)
    .set({ endsAt: given.now })
    .where(
      and(
        eq(mailedLinks.accountId, given.accountId),
        eq(mailedLinks.kind, link.kind),
        gt(mailedLinks.endsAt, given.now),
      ),
    );
  const { accountId, secretHash, endsAt } = given;
  await tx
    .update(mailedLinks)
    .set({ accountId, secretHash, endsAt })
    .where(eq(mailedLinks.id, link.id));
}

export async function markLinkSent(db: Db | Tx, id: string, now: Date): Promise<void> {
  await db.update(mailedLinks).set({ sentAt: now }).where(eq(mailedLinks.id, id));
}

/** Uses a link up, and answers its account. Of two who use it at once, one is answered with it. */
export async function spendLink(
  tx: Tx,
  kind: LinkKind,
  secretHash: string,
  now: Date,
): Promise<string | undefined> {
  const [row] = await tx
    .update(mailedLinks)
    .set({ usedAt: now })
    .where(
      and(
        eq(mailedLinks.secretHash, secretHash),
        eq(mailedLinks.kind, kind),
        isNull(mailedLinks.usedAt),
        gt(mailedLinks.endsAt, now),
      ),
    )
    .returning({ accountId: mailedLinks.accountId });
  return row?.accountId ?? undefined;
}

/** Whether the address was not proven before, and what is known of the account: its address and name. */
export async function markEmailProven(
  tx: Tx,
  accountId: string,
  now: Date,
): Promise<{ firstTime: boolean; email: string; name: string }> {
  const [row] = await tx.select().from(accounts).where(eq(accounts.id, accountId)).for("update");
  if (row === undefined) throw new Error(`account ${accountId} vanished`);
  if (!row.emailVerified)
    await tx
      .update(accounts)
      .set({ emailVerified: true, updatedAt: now })
      .where(eq(accounts.id, accountId));
  return { firstTime: !row.emailVerified, email: row.email, name: row.name };
}

/** Forgets what was asked for before then: its link has ended, and no limit counts it any more. */
export async function forgetLinks(db: Db, before: Date): Promise<number> {
  const rows = await db
    .delete(mailedLinks)
    .where(lt(mailedLinks.askedAt, before))
    .returning({ id: mailedLinks.id });
  return rows.length;
}
