import { and, asc, eq, isNotNull, isNull, lte, or, sql, type SQL } from "drizzle-orm";
import type { Db, Tx } from "#db/client.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { entitlements } from "#db/schema/billing.ts";
import { vms } from "#db/schema/vms.ts";

export type Entitlement = Readonly<{
  vmId: string;
  orderId: string;
  subscriptionId: string | null;
  /** As the provider last said; its statuses are open. */
  subscriptionStatus: string | null;
  /** What an event about it must say otherwise to be worth a look; null: each is worth one. */
  subscriptionVersion: string | null;
  until: Date;
}>;

export async function loadEntitlement(tx: Tx, vmId: string): Promise<Entitlement | undefined> {
  const [row] = await tx.select().from(entitlements).where(eq(entitlements.vmId, vmId));
  return row;
}

export async function saveEntitlement(tx: Tx, e: Entitlement, now: Date): Promise<void> {
  const { vmId, orderId, subscriptionId, subscriptionStatus, subscriptionVersion, until } = e;
  const set = { subscriptionId, subscriptionStatus, subscriptionVersion, until };
  await entitlementSaved(tx, { vmId, orderId, ...set, updatedAt: now });
}

const entitlementSaved = prepared(
  "entitlement_saved",
  (db, at: Slots<Entitlement & { updatedAt: Date }>) => {
    const { subscriptionId, subscriptionStatus, subscriptionVersion, until, updatedAt } = at;
    const set = { subscriptionId, subscriptionStatus, subscriptionVersion, until, updatedAt };
    return db
      .insert(entitlements)
      .values({ vmId: at.vmId, orderId: at.orderId, ...set })
      .onConflictDoUpdate({ target: entitlements.vmId, set });
  },
);

/** The entitlement that the subscription pays for; its order is the subscription's. */
export async function entitlementOfSubscription(
  db: Db,
  subscriptionId: string,
): Promise<Entitlement | undefined> {
  const [row] = await db
    .select()
    .from(entitlements)
    .where(eq(entitlements.subscriptionId, subscriptionId));
  return row;
}

/** The same, held until the transaction ends. */
export async function lockEntitlementOfSubscription(
  tx: Tx,
  subscriptionId: string,
): Promise<Entitlement | undefined> {
  const [row] = await tx
    .select()
    .from(entitlements)
    .where(eq(entitlements.subscriptionId, subscriptionId))
    .for("update");
  return row;
}

/** Ending the subscription failed: the next sweep takes it after those that were not tried as lately. */
export async function markCancellationTried(
  db: Db,
  subscriptionId: string,
  now: Date,
): Promise<void> {
  await db
    .update(entitlements)
    .set({ triedAt: now })
    .where(eq(entitlements.subscriptionId, subscriptionId));
}

/** Subscriptions that still bill for VMs which are to be gone. */
export async function subscriptionsToCancel(db: Db, limit: number): Promise<readonly string[]> {
  const rows = await db
    .select({ id: entitlements.subscriptionId })
    .from(entitlements)
    .where(
      and(
        sql`${entitlements.vmIsToGo}`,
        isNotNull(entitlements.subscriptionId),
        // As the index `entitlements_to_cancel_idx` says it: with parameters it would not be used.
        sql`${entitlements.subscriptionStatus} not in ('canceled', 'incomplete_expired')`,
      ),
    )
    .orderBy(asc(sql`coalesce(${entitlements.triedAt}, ${entitlements.updatedAt})`))
    .limit(limit);
  return rows.flatMap((r) => (r.id === null ? [] : [r.id]));
}

/** A subscription whose billing is to be frozen, or to go on: `since` when. */
export type Freeze = Readonly<{
  subscriptionId: string;
  since: Date;
  status: string | null;
  until: Date;
}>;

const billed = and(
  isNotNull(entitlements.subscriptionId),
  sql`${entitlements.subscriptionStatus} not in ('canceled', 'incomplete_expired')`,
  eq(vms.presence, "present"),
);

const freezes = async (
  db: Db,
  when: SQL | undefined,
  since: typeof vms.lostAt | typeof entitlements.frozenAt,
  limit: number,
) => {
  const rows = await db
    .select({
      subscriptionId: entitlements.subscriptionId,
      since,
      status: entitlements.subscriptionStatus,
      until: entitlements.until,
    })
    .from(entitlements)
    .innerJoin(vms, eq(vms.id, entitlements.vmId))
    .where(and(billed, when))
    .orderBy(asc(sql`coalesce(${entitlements.triedAt}, ${entitlements.updatedAt})`))
    .limit(limit);
  return rows.flatMap(({ subscriptionId, since: at, ...row }): Freeze[] =>
    subscriptionId !== null && at !== null ? [{ subscriptionId, since: at, ...row }] : [],
  );
};

/** What is billed for VMs that were lost before then. */
export const billingToFreeze = (db: Db, lostBefore: Date, limit: number): Promise<Freeze[]> =>
  freezes(
    db,
    and(or(isNull(entitlements.frozenAt), entitlements.freezeUnsure), lte(vms.lostAt, lostBefore)),
    vms.lostAt,
    limit,
  );

/** What is billed no more, or may not be, for VMs that are there again. */
export const billingToResume = (db: Db, limit: number): Promise<Freeze[]> =>
  freezes(
    db,
    and(isNotNull(entitlements.frozenAt), isNull(vms.lostAt)),
    entitlements.frozenAt,
    limit,
  );

/**
 * Before the provider is asked. If nobody hears what it did, it is asked again for what then holds: to freeze what is
 * `unsure`, or, since it counts as frozen at that, to bill again. Frozen anew at an instant of its own, so that what is asked next
 * is no repetition of what was asked before.
 */
export const beginFreeze = async (
  db: Db,
  subscriptionId: string,
  frozenAt: Date | undefined,
): Promise<void> => {
  await db
    .update(entitlements)
    .set({ freezeUnsure: true, ...(frozenAt && { frozenAt }) })
    .where(eq(entitlements.subscriptionId, subscriptionId));
};

/** What the provider has answered. The caller holds the entitlement. */
export const setFrozen = async (tx: Tx, vmId: string, frozenAt: Date | null): Promise<void> => {
  await tx
    .update(entitlements)
    .set({ frozenAt, freezeUnsure: false })
    .where(eq(entitlements.vmId, vmId));
};
