import { and, asc, eq, isNotNull, isNull, lte, or, sql } from "drizzle-orm";
import type { TrialOutcome } from "#core/orders/trial.ts";
import type { Db, Tx } from "#db/client.ts";
import { services } from "#db/schema/billing.ts";
import { orders, trials } from "#db/schema/orders.ts";

/** Of which there is one an account, and one a card. */
const COUNTS = sql`${trials.outcome} is distinct from 'not_made'`;

/** Whether the account has, or had, a trial. */
export async function hasHadTrial(tx: Tx, accountId: string): Promise<boolean> {
  const [row] = await tx
    .select({ orderId: trials.orderId })
    .from(trials)
    .where(and(eq(trials.accountId, accountId), COUNTS));
  return row !== undefined;
}

/** How many trials run, with the orders for one that wait for their page to be completed. Whoever asks waits for those who asked before. */
export async function trialsAtOnce(tx: Tx): Promise<number> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended('trials', 0))`);
  const running = await tx.$count(trials, isNull(trials.outcome));
  const isWaiting = and(eq(orders.state, "awaiting_payment"), isNotNull(orders.trialPolicy));
  return running + (await tx.$count(orders, isWaiting));
}

type NewTrial = Omit<typeof trials.$inferInsert, "toldAt" | "outcome" | "endedAt">;

/** Begins it. `trial_used`, `trial_card_known`: its account, or its card, has had one. Two that are begun at once wait for each other. */
export async function insertTrial(
  tx: Tx,
  trial: NewTrial,
): Promise<"begun" | "trial_used" | "trial_card_known"> {
  const rows = await tx
    .insert(trials)
    .values(trial)
    .onConflictDoNothing()
    .returning({ orderId: trials.orderId });
  if (rows.length === 1) return "begun";
  return (await hasHadTrial(tx, trial.accountId)) ? "trial_used" : "trial_card_known";
}

/** Its VM will not be made, by no fault of who wanted it: it is as if it had never been begun. */
export async function dropTrial(tx: Tx, orderId: string, now: Date): Promise<void> {
  await endTrial(tx, orderId, "not_made", now);
}

/** false: it had an outcome already, or there is none. */
export async function endTrial(
  tx: Tx,
  orderId: string,
  outcome: TrialOutcome,
  now: Date,
): Promise<boolean> {
  const rows = await tx
    .update(trials)
    .set({ outcome, endedAt: now })
    .where(and(eq(trials.orderId, orderId), isNull(trials.outcome)))
    .returning({ orderId: trials.orderId });
  return rows.length === 1;
}

/** A trial that goes on. */
export type OpenTrial = Readonly<{
  orderId: string;
  accountId: string;
  vmId: string;
  endsAt: Date;
  policyVersion: number;
}>;
const OPEN = {
  orderId: trials.orderId,
  accountId: trials.accountId,
  vmId: trials.vmId,
  endsAt: trials.endsAt,
  policyVersion: trials.policyVersion,
};

/** Those whose owners are to be told that they end, the longest due first. Who is not told before the end is not told of it. */
export async function trialsToTell(
  db: Db,
  now: Date,
  limit: number,
): Promise<readonly OpenTrial[]> {
  return db
    .select(OPEN)
    .from(trials)
    .where(and(isNull(trials.outcome), isNull(trials.toldAt), lte(trials.noticeAt, now)))
    .orderBy(asc(trials.noticeAt))
    .limit(limit);
}

/** false: somebody has told them already. */
export async function markTold(tx: Tx, orderId: string, now: Date): Promise<boolean> {
  const rows = await tx
    .update(trials)
    .set({ toldAt: now })
    .where(and(eq(trials.orderId, orderId), isNull(trials.toldAt)))
    .returning({ orderId: trials.orderId });
  return rows.length === 1;
}

/** Those that are over, each with how: paid for beyond its end, or without a subscription, or a VM, to go on with. */
export async function trialsOver(
  db: Db,
  limit: number,
): Promise<readonly (OpenTrial & { isPaid: boolean })[]> {
  const isPaid = sql<boolean>`${services.entitledUntil} > ${trials.endsAt}`;
  return db
    .select({ ...OPEN, isPaid })
    .from(trials)
    .innerJoin(services, eq(services.vmId, trials.vmId))
    .where(
      and(
        isNull(trials.outcome),
        or(
          isPaid,
          services.vmIsToGo,
          sql`${services.subscriptionStatus} in ('canceled', 'incomplete_expired')`,
        ),
      ),
    )
    .orderBy(asc(trials.endsAt))
    .limit(limit);
}

/** The trial that an order began; undefined: none, or it counts as none. */
export async function openTrialOf(db: Db, orderId: string): Promise<OpenTrial | undefined> {
  const [row] = await db
    .select(OPEN)
    .from(trials)
    .where(and(eq(trials.orderId, orderId), isNull(trials.outcome)));
  return row;
}
