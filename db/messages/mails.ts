import { and, asc, eq, gte, inArray, isNull, lte, min, sql } from "drizzle-orm";
import type { Locale } from "#core/messages/locale.ts";
import {
  MAIL_LEASE_MS,
  MAIL_REFUSALS,
  STATE_OF_REFUSED,
  type DueMail,
  type MailKind,
  type MailState,
} from "#core/messages/mail.ts";
import type { Db, Tx } from "#db/client.ts";
import { inOrder, type KeysetPage } from "#db/keyset.ts";
import { having, readPlaces, type Narrowing, type ReadPage } from "#db/read-places.ts";
import { accounts } from "#db/schema/accounts.ts";
import { mails, refusingAddresses } from "#db/schema/messages.ts";

/** A mail whose turn it is. */
export type TakenMail = Readonly<{
  id: string;
  kind: MailKind;
  cause: string;
  about: string;
  accountId: string | null;
  values: unknown;
  createdAt: Date;
  /** This one counted. */
  tries: number;
  resentFrom: string | null;
}>;

/** Whom a mail is for, in which language, and what fills it. */
export type MailFilling = Readonly<{
  accountId: string;
  to: string;
  locale: Locale;
  values: Readonly<Record<string, unknown>>;
  subject: string;
}>;

/** Lets mails fall due. @returns the ids of those that were not due before. */
export async function insertDueMails(
  tx: Db | Tx,
  due: readonly (DueMail & { id: string; resentFrom?: string })[],
  now: Date,
): Promise<readonly string[]> {
  if (due.length === 0) return [];
  const rows = await tx
    .insert(mails)
    .values(due.map((mail) => ({ ...mail, createdAt: now, nextTryAt: now })))
    .onConflictDoNothing({ target: [mails.kind, mails.cause] })
    .returning({ id: mails.id });
  return rows.map(({ id }) => id);
}

/** The mail that tells of this, if one fell due. */
export async function findMail(
  db: Db | Tx,
  { kind, cause }: Pick<DueMail, "kind" | "cause">,
): Promise<{ id: string; state: MailState } | undefined> {
  const [row] = await db
    .select({ id: mails.id, state: mails.state })
    .from(mails)
    .where(and(eq(mails.kind, kind), eq(mails.cause, cause)));
  return row;
}

/** The account's mail of this kind about the same thing that waits; undefined: none does. */
export async function waitingMail(
  db: Db | Tx,
  { kind, about, accountId }: { kind: MailKind; about: string; accountId: string },
): Promise<string | undefined> {
  const [row] = await db
    .select({ id: mails.id })
    .from(mails)
    .where(
      and(
        eq(mails.about, about),
        eq(mails.kind, kind),
        eq(mails.accountId, accountId),
        eq(mails.state, "waiting"),
      ),
    )
    .limit(1);
  return row?.id;
}

/** Whether a mail of this kind fell due for the same thing. */
export async function isToldOf(
  db: Db | Tx,
  kind: MailKind,
  about: string,
  since: Date,
): Promise<boolean> {
  const rows = await db
    .select({ id: mails.id })
    .from(mails)
    .where(and(eq(mails.about, about), eq(mails.kind, kind), gte(mails.createdAt, since)))
    .limit(1);
  return rows.length > 0;
}

/** What became of the mails of this kind about a thing. */
export async function mailsAbout(
  db: Db | Tx,
  kind: MailKind,
  about: string,
): Promise<readonly MailState[]> {
  const rows = await db
    .select({ state: mails.state })
    .from(mails)
    .where(and(eq(mails.about, about), eq(mails.kind, kind)));
  return rows.map(({ state }) => state);
}

/**
 * Takes mails whose turn it is for this worker alone, those first that wait longest: `id`, that one. Should this worker die, another
 * may take them when the lease has ended.
 */
export async function takeDueMails(
  db: Db,
  { now, limit, id }: { now: Date; limit: number; id?: string },
): Promise<readonly TakenMail[]> {
  const due = db
    .select({ id: mails.id })
    .from(mails)
    .where(
      and(
        eq(mails.state, "waiting"),
        lte(mails.nextTryAt, now),
        id === undefined ? undefined : eq(mails.id, id),
      ),
    )
    .orderBy(asc(mails.nextTryAt))
    .limit(limit)
    .for("update", { skipLocked: true });
  const rows = await db
    .update(mails)
    .set({ nextTryAt: new Date(+now + MAIL_LEASE_MS), tries: sql`${mails.tries} + 1` })
    .where(inArray(mails.id, due))
    .returning();
  return rows.sort((a, b) => +a.createdAt - +b.createdAt || (a.id < b.id ? -1 : 1));
}

/** Writes down what is about to be sent. */
export async function fillMail(
  db: Db | Tx,
  id: string,
  { to, ...filling }: MailFilling,
): Promise<void> {
  await db
    .update(mails)
    .set({ ...filling, toAddress: to })
    .where(eq(mails.id, id));
}

/**
 * It is over with this mail. What was sent, and is known to have come back already, is over as that. False when it was already: another worker
 * came to it after this one's lease.
 */
export async function endMail(
  tx: Tx,
  id: string,
  to: { state: "sent" | "dropped" | "given_up"; lastError: string | null; now: Date },
): Promise<boolean> {
  const { lastError, now } = to;
  const state = to.state === "sent" ? sentOrReturned(id) : to.state;
  const rows = await tx
    .update(mails)
    .set({ state, lastError, nextTryAt: null, endedAt: now })
    .where(and(eq(mails.id, id), isNull(mails.endedAt)))
    .returning({ id: mails.id });
  return rows.length > 0;
}

const sentOrReturned = (id: string) => {
  const of = sql.join(
    MAIL_REFUSALS.map((kind) => sql`when ${kind} then ${STATE_OF_REFUSED[kind]}`),
    sql` `,
  );
  const refused = sql`(select ${refusingAddresses.kind}::text from ${refusingAddresses}
    where ${refusingAddresses.mailId} = ${id} limit 1)`;
  return sql<MailState>`(case ${refused} ${of} else 'sent' end)::mail_state`;
};

/** It is tried again then. */
export async function putOffMail(
  db: Db,
  id: string,
  { nextTryAt, lastError }: { nextTryAt: Date; lastError: string },
): Promise<void> {
  await db
    .update(mails)
    .set({ nextTryAt, lastError })
    .where(and(eq(mails.id, id), isNull(mails.endedAt)));
}

/** Where an account's mail goes; undefined: it is closed, and gets none. */
export async function recipientOf(
  db: Db | Tx,
  accountId: string,
): Promise<{ to: string; locale: Locale; isCustomer: boolean } | undefined> {
  const [row] = await db
    .select({ to: accounts.email, locale: accounts.locale, role: accounts.role })
    .from(accounts)
    .where(and(eq(accounts.id, accountId), isNull(accounts.bannedAt)));
  return row && { to: row.to, locale: row.locale, isCustomer: row.role === "customer" };
}

/** For the alarm: since when the mail has waited that waits longest; null: none does. */
export async function oldestWaitingMail(db: Db): Promise<Date | null> {
  const [row] = await db
    .select({ oldest: min(mails.createdAt) })
    .from(mails)
    .where(eq(mails.state, "waiting"));
  return row?.oldest ?? null;
}

export type MailRow = Readonly<typeof mails.$inferSelect>;
export type MailFilter = Readonly<{
  accountId: string | null;
  kind: MailKind | null;
  state: MailState | null;
}>;

const NEWEST = { id: mails.id, down: true } as const;

/** What was mailed, or is to be, the newest first. */
export async function listMails(
  db: Db,
  { accountId, kind, state }: MailFilter,
  page: KeysetPage,
): Promise<ReadPage<MailRow>> {
  const narrowings: Narrowing[] = [];
  if (accountId !== null) narrowings.push(having(mails.accountId, accountId, "ordered"));
  if (kind !== null) narrowings.push(having(mails.kind, kind, "ordered"));
  if (state !== null) narrowings.push(having(mails.state, state, "ordered"));
  const { ids, end } = await readPlaces(db, { table: mails, order: NEWEST, narrowings }, page);
  const rows = await db
    .select()
    .from(mails)
    .where(inArray(mails.id, [...ids]))
    .orderBy(...inOrder(NEWEST));
  return { rows, end };
}

export async function loadMail(db: Db | Tx, id: string): Promise<MailRow | undefined> {
  const [row] = await db.select().from(mails).where(eq(mails.id, id));
  return row;
}
