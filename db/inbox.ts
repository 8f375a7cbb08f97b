import { and, asc, eq, inArray, isNull, lt } from "drizzle-orm";
import type { ProviderEvent } from "#core/billing/payments.ts";
import type { Db, Tx } from "./client.ts";
import { inbox } from "./schema/messages.ts";

/** Stores a delivery as it came. A repeat changes nothing. */
export async function storeDelivery(
  db: Db,
  event: ProviderEvent,
  body: string,
  now: Date,
): Promise<"first" | "repeat"> {
  const rows = await db
    .insert(inbox)
    .values({
      source: "stripe",
      messageId: event.id,
      type: event.type,
      objectKind: event.object.kind,
      objectId: event.object.id,
      body,
      receivedAt: now,
    })
    .onConflictDoNothing()
    .returning({ id: inbox.messageId });
  return rows.length === 1 ? "first" : "repeat";
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

/** Deliveries that nobody has applied: their doorbell was lost, or their worker died. */
export async function unappliedDeliveries(
  db: Db,
  before: Date,
  limit: number,
): Promise<readonly string[]> {
  const rows = await db
    .select({ id: inbox.messageId })
    .from(inbox)
    .where(and(isNull(inbox.appliedAt), lt(inbox.receivedAt, before)))
    .orderBy(asc(inbox.receivedAt))
    .limit(limit);
  return rows.map((r) => r.id);
}
