import { and, asc, eq, inArray, isNull, lt, sql } from "drizzle-orm";
import type { ProviderEvent } from "#core/billing/payments.ts";
import type { Db, Tx } from "#db/client.ts";
import { inbox } from "#db/schema/messages.ts";

export type Delivery = Readonly<{ event: ProviderEvent; body: string; receivedAt: Date }>;

/**
 * Stores deliveries as they came, by one statement. A repeat changes nothing, whether it is of an earlier delivery or
 * of one beside it. Says of each, in their order, whether it was the first.
 */
export async function storeDeliveries(
  db: Db,
  deliveries: readonly Delivery[],
): Promise<readonly ("first" | "repeat")[]> {
  if (deliveries.length === 0) return [];
  const rows = await db
    .insert(inbox)
    .values(
      deliveries.map(({ event, body, receivedAt }) => ({
        source: "stripe",
        messageId: event.id,
        type: event.type,
        objectKind: event.object.kind,
        objectId: event.object.id,
        body,
        receivedAt,
      })),
    )
    .onConflictDoNothing()
    .returning({ id: inbox.messageId });
  const fresh = new Set(rows.map((row) => row.id));
  return deliveries.map(({ event }) => (fresh.delete(event.id) ? "first" : "repeat"));
}

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
  appliedAt: Date | null;
}>;

const fields = {
  messageId: inbox.messageId,
  type: inbox.type,
  objectKind: inbox.objectKind,
  objectId: inbox.objectId,
  appliedAt: inbox.appliedAt,
};
const isMessage = (messageId: string) =>
  and(eq(inbox.source, "stripe"), eq(inbox.messageId, messageId));

export async function loadDelivery(db: Db, messageId: string): Promise<InboxEntry | undefined> {
  const [row] = await db.select(fields).from(inbox).where(isMessage(messageId));
  return row;
}

/**
 * Marks the delivery applied. False when another worker was first: its transaction has done the work, and this
 * one must do none. Call inside the transaction that does the work, so that a rollback forgets it.
 */
export async function claimDelivery(
  tx: Tx,
  messageId: string,
  outcome: string,
  now: Date,
): Promise<boolean> {
  const rows = await tx
    .update(inbox)
    .set({ appliedAt: now, outcome })
    .where(and(isMessage(messageId), isNull(inbox.appliedAt)))
    .returning({ id: inbox.messageId });
  return rows.length === 1;
}

/**
 * Takes deliveries that nobody has applied to ring for them again: their doorbell was lost, or their worker died. Those
 * that were rung for longest ago come first, so that some which always fail hold up no other.
 */
export async function takeUnapplied(
  db: Db,
  input: { now: Date; before: Date; limit: number },
): Promise<readonly string[]> {
  const quietSince = sql`coalesce(${inbox.rungAt}, ${inbox.receivedAt})`;
  const due = db
    .select({ id: inbox.messageId })
    .from(inbox)
    .where(and(isNull(inbox.appliedAt), lt(quietSince, input.before)))
    .orderBy(asc(quietSince))
    .limit(input.limit);
  const rows = await db
    .update(inbox)
    .set({ rungAt: input.now })
    .where(and(eq(inbox.source, "stripe"), inArray(inbox.messageId, due)))
    .returning({ id: inbox.messageId });
  return rows.map((r) => r.id);
}
