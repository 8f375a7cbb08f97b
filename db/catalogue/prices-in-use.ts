import { sql } from "drizzle-orm";
import type { Db } from "#db/client.ts";

/** What `offered` of a quote says of one of its sides (`db/billing/quotes.ts`). */
const side = (name: "from" | "to") =>
  sql.raw(`(q.offered->'${name}'->>'planId')::uuid, (q.offered->'${name}'->>'planVersion')::int`);

/**
 * The versions of plans that somebody has, or is about to: by what they bought, an order that is to be paid, an offer or a change of
 * plan, or a plan migration. A subscription may come to one of their prices, or back to it.
 */
export const versionsInUse = (
  db: Db,
  now: Date,
): Promise<readonly { planId: string; version: number }[]> =>
  db.select({ planId: sql<string>`used.plan_id`, version: sql<number>`used.plan_version` }).from(
    sql`(
        select plan_id, plan_version from services where not vm_is_to_go
        union select plan_id, plan_version from orders where state = 'awaiting_payment'
        union select ${side("to")} from resize_quotes q where q.taken_by is null and q.expires_at > ${now.toISOString()}
        union select ${side("to")} from plan_changes c join resize_quotes q on q.id = c.quote_id where c.outcome is null
        union select ${side("from")} from plan_changes c join resize_quotes q on q.id = c.quote_id where c.outcome is null
        union select to_plan_id, to_version from plan_migrations where state in ('running', 'paused')
      ) as used`,
  );

const ROUNDS = 100;
const ROUND_SECONDS = 0.05;

/**
 * Waits until each transaction has ended that ran when it was called, and so may have read what was there before. false: one of them
 * goes on for longer than anybody waits for.
 */
export async function earlierEnded(db: Db): Promise<boolean> {
  const NOTHING = sql`(values (1)) as nothing`;
  // Whoever has written anything has a lower one than this; a snapshot's own bounds leave out who has only begun.
  const [began] = await db.select({ next: sql<string>`pg_current_xact_id()::text` }).from(NOTHING);
  if (!began) throw new Error("Postgres gave no transaction id");
  const isOver = sql<boolean>`pg_snapshot_xmin(pg_current_snapshot()) >= ${began.next}::xid8`;
  for (let round = 0; round < ROUNDS; round++) {
    const [seen] = await db.select({ isOver }).from(NOTHING);
    if (seen?.isOver === true) return true;
    await db.select({ waited: sql`pg_sleep(${ROUND_SECONDS})` }).from(NOTHING);
  }
  return false;
}
