import { and, eq, gt, isNull, lt, or } from "drizzle-orm";
import type { LinkKind } from "#core/accounts/links.ts";
import type { Locale } from "#core/messages/locale.ts";
import type { Db, Tx } from "#db/client.ts";
import { accounts, mailedLinks } from "#db/schema/accounts.ts";

export type AskedLink = Readonly<{
  id: string;
  kind: LinkKind;
  address: string;
  /** Who is to have the address; null: the link is for whoever has it. */
  askedBy: string | null;
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

/**
 * Whose link it is; undefined: nobody's, and none is mailed. It is theirs who have the address, unless they are closed; and a link for
 * a new address theirs who asked for it, as long as nobody has that.
 */
export async function holderOfLink(
  db: Db,
  { address, askedBy }: Pick<AskedLink, "address" | "askedBy">,
): Promise<{ id: string; emailVerified: boolean; locale: Locale } | undefined> {
  const rows = await db
    .select()
    .from(accounts)
    .where(
      askedBy === null
        ? eq(accounts.email, address)
        : or(eq(accounts.id, askedBy), eq(accounts.email, address)),
    );
  const [row, other] = rows;
  return other === undefined && row?.bannedAt === null && (askedBy ?? row.id) === row.id
    ? row
    : undefined;
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

/** Uses a link up, and answers its account, and the address that it was mailed to. Of two who use it at once, one is answered with it. */
export async function spendLink(
  tx: Tx,
  kind: LinkKind,
  secretHash: string,
  now: Date,
): Promise<{ accountId: string; address: string } | undefined> {
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
    .returning({ accountId: mailedLinks.accountId, address: mailedLinks.address });
  return row === undefined || row.accountId === null
    ? undefined
    : { accountId: row.accountId, address: row.address };
}

/**
 * Whether the address was not proven before, and what the account is called; undefined: the address is the account's no more, and
 * what was mailed there proves nothing.
 */
export async function markEmailProven(
  tx: Tx,
  { accountId, address }: { accountId: string; address: string },
  now: Date,
): Promise<{ firstTime: boolean; name: string } | undefined> {
  const [row] = await tx.select().from(accounts).where(eq(accounts.id, accountId)).for("update");
  if (row === undefined) throw new Error(`account ${accountId} vanished`);
  if (row.email !== address) return undefined;
  if (!row.emailVerified)
    await tx
      .update(accounts)
      .set({ emailVerified: true, updatedAt: now })
      .where(eq(accounts.id, accountId));
  return { firstTime: !row.emailVerified, name: row.name };
}

/**
 * Forgets the changes of address that the account asked for and has not made: their links are no good any more, those neither that
 * are just being mailed.
 */
export async function forgetNewAddresses(db: Db | Tx, accountId: string): Promise<void> {
  await db
    .delete(mailedLinks)
    .where(and(eq(mailedLinks.askedBy, accountId), isNull(mailedLinks.usedAt)));
}

/** Forgets what was asked for before then: its link has ended, and no limit counts it any more. */
export async function forgetLinks(db: Db, before: Date): Promise<number> {
  const rows = await db
    .delete(mailedLinks)
    .where(lt(mailedLinks.askedAt, before))
    .returning({ id: mailedLinks.id });
  return rows.length;
}
