import { and, count, eq, gt, inArray, isNotNull, lt } from "drizzle-orm";
import type { LinkKind } from "#core/accounts/links.ts";
import type { Db, Tx } from "#db/client.ts";
import { accounts, mailedLinks, verifications } from "#db/schema/accounts.ts";

export type AskedLink = Readonly<{
  id: string;
  kind: LinkKind;
  address: string;
  askedAt: Date;
  sentAt: Date | null;
}>;

/** How many links were asked for by this address since then. */
export async function countLinks(db: Db | Tx, address: string, since: Date): Promise<number> {
  const [row] = await db
    .select({ n: count() })
    .from(mailedLinks)
    .where(and(eq(mailedLinks.address, address), gt(mailedLinks.askedAt, since)));
  return row?.n ?? 0;
}

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
): Promise<{ id: string; emailVerified: boolean } | undefined> {
  const [row] = await db.select().from(accounts).where(eq(accounts.email, address));
  return row?.bannedAt === null ? row : undefined;
}

/**
 * Makes the row that a link opens, stored by the hash of its name, and takes away those of the account's earlier links of its
 * kind: the last one mailed is the one that works.
 */
export async function openLink(
  tx: Tx,
  link: AskedLink,
  opens: { id: string; accountId: string; nameHash: string; expiresAt: Date; now: Date },
): Promise<void> {
  const earlier = tx
    .select({ opens: mailedLinks.opens })
    .from(mailedLinks)
    .where(
      and(
        eq(mailedLinks.accountId, opens.accountId),
        eq(mailedLinks.kind, link.kind),
        isNotNull(mailedLinks.opens),
      ),
    );
  await tx.delete(verifications).where(inArray(verifications.identifier, earlier));
  await tx.insert(verifications).values({
    id: opens.id,
    identifier: opens.nameHash,
    value: opens.accountId,
    expiresAt: opens.expiresAt,
    createdAt: opens.now,
    updatedAt: opens.now,
  });
  await tx
    .update(mailedLinks)
    .set({ accountId: opens.accountId, opens: opens.nameHash })
    .where(eq(mailedLinks.id, link.id));
}

export async function markLinkSent(db: Db, id: string, now: Date): Promise<void> {
  await db.update(mailedLinks).set({ sentAt: now }).where(eq(mailedLinks.id, id));
}

/** Whose link this is, while it may be used. */
export async function accountOfLink(
  db: Db,
  nameHash: string,
  now: Date,
): Promise<string | undefined> {
  const [row] = await db
    .select({ accountId: verifications.value })
    .from(verifications)
    .where(and(eq(verifications.identifier, nameHash), gt(verifications.expiresAt, now)));
  return row?.accountId;
}

/** Uses a link up. Of two who use it at once, one is answered with its account. */
export async function spendLink(tx: Tx, nameHash: string, now: Date): Promise<string | undefined> {
  const [row] = await tx
    .delete(verifications)
    .where(and(eq(verifications.identifier, nameHash), gt(verifications.expiresAt, now)))
    .returning({ accountId: verifications.value });
  return row?.accountId;
}

/** True when it was not proven before. */
export async function markEmailProven(tx: Tx, accountId: string, now: Date): Promise<boolean> {
  const rows = await tx
    .update(accounts)
    .set({ emailVerified: true, updatedAt: now })
    .where(and(eq(accounts.id, accountId), eq(accounts.emailVerified, false)))
    .returning({ id: accounts.id });
  return rows.length === 1;
}

/** Forgets what was asked for before then: its link has ended, and no limit counts it any more. */
export async function forgetLinks(db: Db, before: Date): Promise<number> {
  const rows = await db
    .delete(mailedLinks)
    .where(lt(mailedLinks.askedAt, before))
    .returning({ id: mailedLinks.id });
  return rows.length;
}
