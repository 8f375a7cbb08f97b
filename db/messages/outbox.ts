import { and, asc, count, inArray, isNull, lt, min, or, sql } from "drizzle-orm";
import { parseEvent, type Event } from "#core/contracts/events.ts";
import type { Db, Tx } from "#db/client.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { outbox } from "#db/schema/messages.ts";

export type OutboxRow = Readonly<{ seq: bigint; id: string; event: Event; attempts: number }>;

type Taking = { limit: number; now: Date; leaseUntil: Date };

const unsentTaken = prepared("unsent_taken", (db, at: Slots<Taking>) => {
  const free = db
    .select({ seq: outbox.seq })
    .from(outbox)
    .where(
      and(isNull(outbox.sentAt), or(isNull(outbox.leasedUntil), lt(outbox.leasedUntil, at.now))),
    )
    .orderBy(asc(outbox.seq))
    .limit(sql.placeholder("limit"))
    .for("update", { skipLocked: true });
  return db
    .update(outbox)
    .set({ leasedUntil: at.leaseUntil, attempts: sql`${outbox.attempts} + 1` })
    .where(inArray(outbox.seq, free))
    .returning();
});

/**
 * Takes up to `limit` unsent rows for this relay alone until `leaseUntil`. `skip locked`, never a cursor:
 * sequences commit out of order (style §7).
 */
export async function takeUnsent(db: Db, input: Taking): Promise<readonly OutboxRow[]> {
  const rows = await unsentTaken(db, input);
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
  if (seqs.length > 0) await sent(db, { seqs, now });
}

const sent = prepared("sent", (db, at: Slots<{ seqs: readonly bigint[]; now: Date }>) =>
  db
    .update(outbox)
    .set({ sentAt: at.now })
    .where(sql`${outbox.seq} = any(${at.seqs}::bigint[])`),
);

/** For the alarm: how many rows wait, and since when. */
export async function unsentBacklog(db: Db): Promise<{ rows: number; oldest: Date | null }> {
  const [row] = await db
    .select({ rows: count(), oldest: min(outbox.createdAt) })
    .from(outbox)
    .where(isNull(outbox.sentAt));
  return { rows: row?.rows ?? 0, oldest: row?.oldest ?? null };
}
