import { and, asc, count, inArray, isNull, lt, min, or, sql } from "drizzle-orm";
import { parseEvent, type Event } from "#core/contracts/events.ts";
import type { Db, Tx } from "#db/client.ts";
import { outbox } from "#db/schema/messages.ts";

export type OutboxRow = Readonly<{ seq: bigint; id: string; event: Event; attempts: number }>;

/**
 * Takes up to `limit` unsent rows for this relay alone until `leaseUntil`. `skip locked`, never a cursor:
 * sequences commit out of order (style §7).
 */
export async function takeUnsent(
  db: Db,
  input: { limit: number; now: Date; leaseUntil: Date },
): Promise<readonly OutboxRow[]> {
  const free = db
    .select({ seq: outbox.seq })
    .from(outbox)
    .where(
      and(isNull(outbox.sentAt), or(isNull(outbox.leasedUntil), lt(outbox.leasedUntil, input.now))),
    )
    .orderBy(asc(outbox.seq))
    .limit(input.limit)
    .for("update", { skipLocked: true });
  const rows = await db
    .update(outbox)
    .set({ leasedUntil: input.leaseUntil, attempts: sql`${outbox.attempts} + 1` })
    .where(inArray(outbox.seq, free))
    .returning();
  return rows
    .map((r) => ({
      seq: r.seq,
      id: r.id,
      event: parseEvent(r.name, r.data),
      attempts: r.attempts,
    }))
    .sort((a, b) => (a.seq < b.seq ? -1 : 1));
}

export async function markSent(db: Db | Tx, seqs: readonly bigint[], now: Date): Promise<void> {
  if (seqs.length > 0)
    await db
      .update(outbox)
      .set({ sentAt: now })
      .where(inArray(outbox.seq, [...seqs]));
}

/** For the alarm: how many rows wait, and since when. */
export async function unsentBacklog(db: Db): Promise<{ rows: number; oldest: Date | null }> {
  const [row] = await db
    .select({ rows: count(), oldest: min(outbox.createdAt) })
    .from(outbox)
    .where(isNull(outbox.sentAt));
  return { rows: row?.rows ?? 0, oldest: row?.oldest ?? null };
}
