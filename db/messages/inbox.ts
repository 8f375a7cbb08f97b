import { and, asc, eq, inArray, isNull, lt, lte, or, sql, type SQL } from "drizzle-orm";
import type { ProviderEvent } from "#core/billing/payments.ts";
import { mailOfDelivery } from "#core/messages/mail.ts";
import type { BillingQueue } from "#core/ports.ts";
import { z } from "zod";
import type { Db, Tx } from "#db/client.ts";
import { list, runNamed } from "#db/named.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { inbox, mails } from "#db/schema/messages.ts";

export type Delivery = Readonly<{
  event: ProviderEvent;
  body: string;
  queue: BillingQueue;
  receivedAt: Date;
  /** The id of the mail that falls due with it, if its kind is one that customers are told of (`mailOfDelivery`). */
  mailId: string;
}>;

/**
 * Stores deliveries as they came, and the mails that fall due with them, by one statement. A repeat changes nothing, whether it is of an earlier delivery or
 * of one beside it. Says of each, in their order, whether it was the first.
 */
export async function storeDeliveries(
  db: Db,
  deliveries: readonly Delivery[],
): Promise<readonly ("first" | "repeat")[]> {
  if (deliveries.length === 0) return [];
  const due = deliveries.flatMap(({ event, mailId, receivedAt }) => {
    const kind = mailOfDelivery(event.type);
    const about = event.object.id;
    return kind === undefined || about === null
      ? []
      : [{ id: mailId, kind, cause: event.id, about, receivedAt }];
  });
  const answer = await runNamed(
    db,
    "store_deliveries",
    sql`
    with stored as (insert into ${inbox} (source, message_id, type, object_kind, object_id, object_version, queue, body, received_at)
    select 'stripe', n.* from unnest(
      ${list(deliveries, (d) => d.event.id)}::text[], ${list(deliveries, (d) => d.event.type)}::text[],
      ${list(deliveries, (d) => d.event.object.kind)}::text[], ${list(deliveries, (d) => d.event.object.id)}::text[],
      ${list(deliveries, (d) => d.event.object.version)}::text[], ${list(deliveries, (d) => d.queue)}::billing_queue[],
      ${list(deliveries, (d) => d.body)}::text[],
      ${list(deliveries, (d) => d.receivedAt)}::timestamptz[]) as n
    on conflict do nothing
    returning message_id), fell_due as (
    insert into ${mails} (id, kind, cause, about, created_at, next_try_at)
    select n.id, n.kind, n.cause, n.about, n.at, n.at from unnest(
      ${list(due, (m) => m.id)}::uuid[], ${list(due, (m) => m.kind)}::mail_kind[],
      ${list(due, (m) => m.cause)}::text[], ${list(due, (m) => m.about)}::text[],
      ${list(due, (m) => m.receivedAt)}::timestamptz[]) as n (id, kind, cause, about, at)
    join stored on stored.message_id = n.cause
    on conflict do nothing)
    select message_id as id from stored`,
  );
  const { rows } = Stored.parse(answer);
  const fresh = new Set(rows.map((row) => row.id));
  return deliveries.map(({ event }) => (fresh.delete(event.id) ? "first" : "repeat"));
}

const Stored = z.object({ rows: z.array(z.object({ id: z.string() })) });

/** Those of the deliveries that are stored already. */
export async function knownDeliveries(
  db: Db,
  messageIds: readonly string[],
): Promise<ReadonlySet<string>> {
  if (messageIds.length === 0) return new Set();
  const rows = await db
    .select({ id: inbox.messageId })
    .from(inbox)
    .where(and(eq(inbox.source, "stripe"), inArray(inbox.messageId, [...messageIds])));
  return new Set(rows.map((r) => r.id));
}

export type InboxEntry = Readonly<{
  messageId: string;
  type: string;
  objectKind: string;
  objectId: string | null;
  objectVersion: string | null;
  appliedAt: Date | null;
}>;

const fields = {
  messageId: inbox.messageId,
  type: inbox.type,
  objectKind: inbox.objectKind,
  objectId: inbox.objectId,
  objectVersion: inbox.objectVersion,
  appliedAt: inbox.appliedAt,
};
const areMessages = (messageIds: readonly string[]) =>
  and(eq(inbox.source, "stripe"), inArray(inbox.messageId, [...messageIds]));
const isMessage = (messageId: string) => areMessages([messageId]);

const deliveryById = prepared("delivery_by_id", (db, at: Slots<{ messageId: string }>) =>
  db
    .select(fields)
    .from(inbox)
    .where(and(eq(inbox.source, "stripe"), eq(inbox.messageId, at.messageId))),
);

export async function loadDelivery(db: Db, messageId: string): Promise<InboxEntry | undefined> {
  const [row] = await deliveryById(db, { messageId });
  return row;
}

/** About the same object. One that names none is alone. */
const alike = ({ messageId, objectKind, objectId }: InboxEntry) =>
  objectId === null
    ? isMessage(messageId)
    : and(
        eq(inbox.source, "stripe"),
        eq(inbox.objectKind, objectKind),
        eq(inbox.objectId, objectId),
      );

/** Those that `which` names, nobody has applied and nobody looks for. */
const takeFree = (db: Db, which: SQL | undefined, at: Slots<{ now: Date; until: Date }>) => {
  const free = db
    .select({ id: inbox.messageId })
    .from(inbox)
    .where(
      and(
        eq(inbox.source, "stripe"),
        which,
        isNull(inbox.appliedAt),
        or(isNull(inbox.lookedAtUntil), lte(inbox.lookedAtUntil, at.now)),
      ),
    )
    .for("update", { skipLocked: true });
  return db
    .update(inbox)
    .set({ lookedAtUntil: at.until })
    .where(and(eq(inbox.source, "stripe"), inArray(inbox.messageId, free)))
    .returning({ id: inbox.messageId });
};
type Until = { now: Date; until: Date };
const oneTaken = prepared("delivery_taken", (db, at: Slots<Until & { messageId: string }>) =>
  takeFree(db, eq(inbox.messageId, at.messageId), at),
);
const alikeTaken = prepared(
  "deliveries_taken",
  (db, at: Slots<Until & { objectKind: string; objectId: string }>) =>
    takeFree(db, and(eq(inbox.objectKind, at.objectKind), eq(inbox.objectId, at.objectId)), at),
);

/**
 * Takes the delivery, and with it all others about its object that nobody has applied and nobody looks for: a look that begins
 * after this tells what any of them could tell. No look is kept waiting for another one.
 *
 * @returns those that were taken. Without this one: another worker has taken it, or applied it.
 */
export async function takeAlike(
  db: Db,
  { messageId, objectKind, objectId }: InboxEntry,
  until: Until,
): Promise<readonly string[]> {
  const rows = await (objectId === null
    ? oneTaken(db, { messageId, ...until })
    : alikeTaken(db, { objectKind, objectId, ...until }));
  return rows.map((row) => row.id);
}

/** The look came to nothing: whoever comes next may look. One that others had taken meanwhile is looked at once more. */
export async function giveBackAlike(db: Db, delivery: InboxEntry): Promise<void> {
  const taken = db
    .select({ id: inbox.messageId })
    .from(inbox)
    .where(and(alike(delivery), isNull(inbox.appliedAt)))
    .for("update", { skipLocked: true });
  await db
    .update(inbox)
    .set({ lookedAtUntil: null })
    .where(and(eq(inbox.source, "stripe"), inArray(inbox.messageId, taken)));
}

const claim = prepared(
  "claim_delivery",
  (db, at: Slots<{ messageId: string; outcome: string; now: Date }>) =>
    db
      .update(inbox)
      .set({ appliedAt: at.now, lookedAtUntil: null, outcome: at.outcome })
      .where(
        and(eq(inbox.source, "stripe"), eq(inbox.messageId, at.messageId), isNull(inbox.appliedAt)),
      )
      .returning({ id: inbox.messageId }),
);

/**
 * Marks the delivery applied, and with it those that were taken with it. False when another worker was first with this one: its
 * transaction has done the work, and this one must do none. Call inside the transaction that does the work, so that a rollback
 * forgets it; one that was taken alone, and that changes nothing, needs none.
 */
export async function claimDelivery(
  tx: Db | Tx,
  messageId: string,
  { outcome, now, taken }: { outcome: string; now: Date; taken: readonly string[] },
): Promise<boolean> {
  const rows = await claim(tx, { messageId, outcome, now });
  if (rows.length === 0) return false;
  const others = taken.filter((id) => id !== messageId);
  if (others.length > 0)
    await tx
      .update(inbox)
      .set({ appliedAt: now, lookedAtUntil: null, outcome })
      .where(and(areMessages(others), isNull(inbox.appliedAt)));
  return true;
}

/**
 * Takes deliveries of one queue that nobody has applied to ring for them again: their doorbell was lost, or their worker died.
 * Those that were rung for longest ago come first, so that some which always fail hold up no other.
 */
export async function takeUnapplied(
  db: Db,
  input: { queue: BillingQueue; now: Date; before: Date; limit: number },
): Promise<readonly string[]> {
  const quietSince = sql`coalesce(${inbox.rungAt}, ${inbox.receivedAt})`;
  const due = db
    .select({ id: inbox.messageId })
    .from(inbox)
    .where(and(isNull(inbox.appliedAt), eq(inbox.queue, input.queue), lt(quietSince, input.before)))
    .orderBy(asc(quietSince))
    .limit(input.limit);
  const rows = await db
    .update(inbox)
    .set({ rungAt: input.now })
    .where(and(eq(inbox.source, "stripe"), inArray(inbox.messageId, due)))
    .returning({ id: inbox.messageId });
  return rows.map((r) => r.id);
}
