import { and, asc, desc, eq, isNotNull, isNull, lte, or, sql } from "drizzle-orm";
import type {
  Dunning,
  DunningOutcome,
  DunningPolicy,
  DunningState,
} from "#core/billing/dunning.ts";
import type { Db, Tx } from "#db/client.ts";
import { dunnings, services } from "#db/schema/billing.ts";
import { vms } from "#db/schema/vms.ts";
import { HAS_OPEN_INVOICE } from "./invoices.ts";
import { policyOf } from "./dunning-policies.ts";

/** What is owed for a VM, and how far that has led. */
export type OpenDunning = Dunning &
  Readonly<{
    id: string;
    vmId: string;
    subscriptionId: string;
    policy: DunningPolicy;
    startedAt: Date;
    /** When it was decided that its subscription ends; null: it was not. */
    endingAt: Date | null;
    /** The page where it is revived. */
    checkoutId: string | null;
    checkoutUrl: string | null;
    checkoutExpiresAt: Date | null;
  }>;

/** A VM whose lease is over, and that nobody duns for yet. */
export type ToDun = Readonly<{
  vmId: string;
  accountId: string;
  subscriptionId: string;
  entitledUntil: Date;
  /** Its subscription is over: by whoever's word, and not as its end was planned. */
  hasEnded: boolean;
}>;

const HAS_ENDED = sql`${services.subscriptionStatus} in ('canceled', 'incomplete_expired')`;

/**
 * VMs to be dunned for: their lease is over, and an invoice that was sent for them is open, or their subscription was ended with nothing
 * planned. What is not billed now is owed by nobody.
 */
export async function vmsToDun(db: Db, now: Date, limit: number): Promise<readonly ToDun[]> {
  const isDunned = sql`exists (select from ${dunnings} where ${dunnings.vmId} = ${services.vmId} and ${dunnings.outcome} is null)`;
  const rows = await db
    .select({
      vmId: services.vmId,
      accountId: vms.accountId,
      subscriptionId: services.subscriptionId,
      entitledUntil: services.entitledUntil,
      hasEnded: sql<boolean>`${HAS_ENDED}`,
    })
    .from(services)
    .innerJoin(vms, eq(vms.id, services.vmId))
    .where(
      and(
        // As the index `services_owed_idx` says it.
        sql`${services.subscriptionId} is not null and not ${services.vmIsToGo}`,
        sql`${services.subscriptionStatus} in ('past_due', 'unpaid', 'canceled', 'incomplete_expired')`,
        lte(services.entitledUntil, now),
        isNull(services.frozenAt),
        leaseIsOver(now),
        sql`not ${isDunned}`,
        or(
          and(HAS_ENDED, sql`not ${services.endWanted}`),
          and(sql`not ${HAS_ENDED}`, HAS_OPEN_INVOICE),
        ),
      ),
    )
    .orderBy(asc(services.entitledUntil))
    .limit(limit);
  return rows.flatMap(({ subscriptionId, ...row }) =>
    subscriptionId === null ? [] : [{ ...row, subscriptionId }],
  );
}

/** As `runsUntil` has it. */
const leaseIsOver = (now: Date) =>
  sql`${services.entitledUntil} + make_interval(days => ${services.grantedDays}) <= ${now}
    and coalesce(${services.grantedUntil}, ${now}) <= ${now} and coalesce(${services.neverSuspendUntil}, ${now}) <= ${now}`;

/** Begins it. false: somebody duns for the VM already. */
export async function insertDunning(
  tx: Tx,
  begun: Readonly<{
    id: string;
    vmId: string;
    subscriptionId: string;
    policyVersion: number;
    state: DunningState;
    endingAt: Date | null;
  }>,
  now: Date,
): Promise<boolean> {
  const rows = await tx
    .insert(dunnings)
    .values({ ...begun, stateAt: now, startedAt: now, dueAt: now })
    .onConflictDoNothing()
    .returning({ id: dunnings.id });
  return rows.length === 1;
}

/** Those whose next step may be due, and those whose VM may run again, the longest due first. */
export async function dunningsDue(
  db: Db,
  now: Date,
  limit: number,
): Promise<readonly { id: string; vmId: string }[]> {
  return db
    .select({ id: dunnings.id, vmId: dunnings.vmId })
    .from(dunnings)
    .innerJoin(services, eq(services.vmId, dunnings.vmId))
    .where(
      and(
        isNull(dunnings.outcome),
        or(
          lte(dunnings.dueAt, now),
          sql`${dunnings.state} in ('begun', 'reminded', 'suspended') and (${services.vmIsToGo} or ${HAS_ENDED} or not (${leaseIsOver(now)}))`,
          sql`${dunnings.state} = 'terminated' and ${services.vmIsToGo}`,
        ),
      ),
    )
    .orderBy(asc(dunnings.dueAt))
    .limit(limit);
}

const openFromRow = async (
  db: Db | Tx,
  row: typeof dunnings.$inferSelect,
): Promise<OpenDunning> => ({
  ...row,
  policy: await policyOf(db, row.policyVersion),
});

/** What is dunned for a VM; undefined: nothing is. */
export async function openDunningOf(db: Db | Tx, vmId: string): Promise<OpenDunning | undefined> {
  const [row] = await db
    .select()
    .from(dunnings)
    .where(and(eq(dunnings.vmId, vmId), isNull(dunnings.outcome)));
  return row && openFromRow(db, row);
}

/** One that is not over. */
export async function findDunning(db: Db, id: string): Promise<OpenDunning | undefined> {
  const [row] = await db
    .select()
    .from(dunnings)
    .where(and(eq(dunnings.id, id), isNull(dunnings.outcome)));
  return row && openFromRow(db, row);
}

/** The same, held until the transaction ends; undefined: it is over. */
export async function lockDunning(tx: Tx, id: string): Promise<OpenDunning | undefined> {
  const [row] = await tx
    .select()
    .from(dunnings)
    .where(and(eq(dunnings.id, id), isNull(dunnings.outcome)))
    .for("update");
  return row && openFromRow(tx, row);
}

/**
 * When it was decided that this subscription of the VM ends for debt, or was seen to have ended; undefined: it was not. `isEnding`: it
 * is being ended, and may yet be found to be paid.
 */
export async function endingOf(
  tx: Tx,
  vmId: string,
  subscriptionId: string,
): Promise<{ endingAt: Date; isEnding: boolean } | undefined> {
  const [row] = await tx
    .select({ endingAt: dunnings.endingAt, state: dunnings.state, outcome: dunnings.outcome })
    .from(dunnings)
    .where(
      and(
        eq(dunnings.vmId, vmId),
        eq(dunnings.subscriptionId, subscriptionId),
        isNotNull(dunnings.endingAt),
      ),
    )
    .orderBy(desc(dunnings.id))
    .limit(1);
  if (row?.endingAt == null) return undefined;
  return { endingAt: row.endingAt, isEnding: row.state === "ending" && row.outcome === null };
}

/** `endedAt`: when its subscription had ended, where nobody had decided that it ends. */
export async function moveDunning(
  tx: Tx,
  id: string,
  to: Readonly<{ state: DunningState; stateAt: Date; endingAt?: Date }>,
  endedAt: Date | null,
): Promise<void> {
  await tx
    .update(dunnings)
    .set({
      ...to,
      dueAt: to.stateAt,
      ...(endedAt !== null && { endingAt: sql`coalesce(${dunnings.endingAt}, ${endedAt})` }),
    })
    .where(eq(dunnings.id, id));
}

/** `endingAt` goes with an end that was not carried out: what was paid counts. */
export async function closeDunning(
  tx: Tx,
  id: string,
  outcome: DunningOutcome,
  now: Date,
): Promise<void> {
  await tx
    .update(dunnings)
    .set({
      outcome,
      endedAt: now,
      ...(outcome === "lifted" && { endingAt: null }),
    })
    .where(eq(dunnings.id, id));
}

/** The page where it is revived, unless another can still be paid. @returns the one that is kept; undefined: it is over. */
export async function attachRevival(
  db: Db,
  id: string,
  page: Readonly<{ id: string; url: string; expiresAt: Date }>,
  now: Date,
): Promise<{ checkoutUrl: string; expiresAt: Date } | undefined> {
  await db
    .update(dunnings)
    .set({ checkoutId: page.id, checkoutUrl: page.url, checkoutExpiresAt: page.expiresAt })
    .where(
      and(
        eq(dunnings.id, id),
        isNull(dunnings.outcome),
        eq(dunnings.state, "terminated"),
        or(isNull(dunnings.checkoutExpiresAt), lte(dunnings.checkoutExpiresAt, now)),
      ),
    );
  const kept = await findDunning(db, id);
  return kept?.checkoutUrl == null || kept.checkoutExpiresAt === null
    ? undefined
    : { checkoutUrl: kept.checkoutUrl, expiresAt: kept.checkoutExpiresAt };
}

/** Which dunning ends on this page, whether it is over or not. */
export async function revivalOfCheckout(
  db: Db,
  checkoutId: string,
): Promise<{ dunningId: string; vmId: string; checkoutId: string } | undefined> {
  const [row] = await db
    .select({ dunningId: dunnings.id, vmId: dunnings.vmId })
    .from(dunnings)
    .where(eq(dunnings.checkoutId, checkoutId));
  return row && { ...row, checkoutId };
}

/** What an account is dunned for goes on by this version; each has its turn now. */
export async function adoptPolicy(
  tx: Tx,
  accountId: string,
  policyVersion: number,
  now: Date,
): Promise<void> {
  await tx
    .update(dunnings)
    .set({ policyVersion, dueAt: now })
    .from(vms)
    .where(and(eq(vms.id, dunnings.vmId), eq(vms.accountId, accountId), isNull(dunnings.outcome)));
}

/** Its next turn. */
export async function putOffDunning(db: Db | Tx, id: string, dueAt: Date): Promise<void> {
  await db.update(dunnings).set({ dueAt }).where(eq(dunnings.id, id));
}
