import {
  and,
  arrayOverlaps,
  asc,
  eq,
  inArray,
  isNotNull,
  isNull,
  lte,
  not,
  notExists,
  or,
  sql,
  type SQL,
} from "drizzle-orm";
import { ENDED_STATUSES, SUSPEND_DAYS } from "#core/billing/entitlement.ts";
import type { Payer, ServicePrice } from "#core/billing/service.ts";
import { keepsData, SUSPENSIONS, type Suspension } from "#core/billing/suspension.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { dunningPolicies, services } from "#db/schema/billing.ts";
import { trials } from "#db/schema/orders.ts";
import { vms } from "#db/schema/vms.ts";

/** What was bought of a VM, however it was bought. */
export type Service = Readonly<{
  vmId: string;
  planId: string;
  planVersion: number;
  payer: Payer;
  /** null: whoever pays keeps the price, or there is none. */
  price: ServicePrice | null;
  /** It is no price of that version: staff let whoever pays keep that of before (ADR 0056). */
  priceKept: boolean;
  subscriptionId: string | null;
  /** As the provider last said; its statuses are open. */
  subscriptionStatus: string | null;
  /** What an event about it must say otherwise to be worth a look; null: each is worth one. */
  subscriptionVersion: string | null;
  /** The right to run ends then, by what is paid. What staff granted comes on top (`runsUntil`). */
  entitledUntil: Date;
  grantedDays: number;
  grantedUntil: Date | null;
  neverSuspendUntil: Date | null;
  /** How many days past its lease it runs, by the policy that holds for it; until when a reminder that came late lets it run. */
  suspendDays: number;
  warnedUntil: Date | null;
  /** Why it may not run though it is paid. */
  suspensions: readonly Suspension[];
  /** It is to end with the period that is paid; when that was last said or taken back; whether the provider is still to be told. */
  endWanted: boolean;
  endSaidAt: Date | null;
  endUntold: boolean;
  /** When it ends, as the provider says; null: it goes on. */
  cancelAt: Date | null;
  /** When what its subscription asked for was settled, after that had ended. */
  settledAt: Date | null;
}>;

export const serviceFromRow = (row: typeof services.$inferSelect): Service => ({
  ...row,
  price: priceFromRow(row),
});

/** Its three columns are null together, which Postgres sees to. */
const priceFromRow = ({
  interval,
  amountMinor: minor,
  currency,
}: typeof services.$inferSelect): ServicePrice | null =>
  interval === null || minor === null || currency === null
    ? null
    : { interval, amount: { minor, currency: currencyFromRow(currency) } };

/** What was bought of a VM: there is none without. Throws when there is. */
export async function loadService(tx: Db | Tx, vmId: string): Promise<Service> {
  const [row] = await tx.select().from(services).where(eq(services.vmId, vmId));
  if (!row) throw new Error(`nothing was bought of VM ${vmId}`);
  return serviceFromRow(row);
}

/** The subscription that pays for a VM; null: none does, or nothing was bought of it. */
export async function subscriptionOf(db: Db | Tx, vmId: string): Promise<string | null> {
  const [row] = await subscriptionHeld(db, { vmId });
  return row?.id ?? null;
}

const subscriptionHeld = prepared("subscription_of_vm", (db, at: Slots<{ vmId: string }>) =>
  db.select({ id: services.subscriptionId }).from(services).where(eq(services.vmId, at.vmId)),
);

/** Whether it is billed, as the provider last said. */
export async function billingOf(
  tx: Tx,
  vmId: string,
): Promise<{ frozenAt: Date | null; subscriptionStatus: string | null }> {
  const [row] = await tx
    .select({ frozenAt: services.frozenAt, subscriptionStatus: services.subscriptionStatus })
    .from(services)
    .where(eq(services.vmId, vmId));
  if (!row) throw new Error(`nothing was bought of VM ${vmId}`);
  return row;
}

/** What was bought is written before its VM is: no VM is without it. */
export async function insertService(
  tx: Tx,
  { price, ...row }: NewService,
  now: Date,
): Promise<void> {
  await serviceInserted(tx, {
    ...row,
    interval: price?.interval ?? null,
    amountMinor: price?.amount.minor ?? null,
    currency: price?.amount.currency ?? null,
    updatedAt: now,
  });
}

/** What was bought, before anybody changed anything about it. Its account says which policy of dunning holds. */
export type NewService = { accountId: string } & Pick<
  Service,
  | "vmId"
  | "planId"
  | "planVersion"
  | "payer"
  | "price"
  | "subscriptionId"
  | "subscriptionStatus"
  | "subscriptionVersion"
  | "entitledUntil"
>;
type Inserted = Omit<NewService, "price"> &
  Pick<typeof services.$inferSelect, "interval" | "amountMinor" | "currency" | "updatedAt">;
const serviceInserted = prepared("service_inserted", (db, at: Slots<Inserted>) =>
  db.insert(services).values({
    vmId: at.vmId,
    planId: at.planId,
    planVersion: at.planVersion,
    payer: at.payer,
    interval: at.interval,
    amountMinor: at.amountMinor,
    currency: at.currency,
    suspendDays: sql`coalesce((select p.suspend_days from ${dunningPolicies} p where p.account_id = ${at.accountId}::uuid
      order by p.version desc limit 1), ${sql.raw(String(SUSPEND_DAYS))})`,
    subscriptionId: at.subscriptionId,
    subscriptionStatus: at.subscriptionStatus,
    subscriptionVersion: at.subscriptionVersion,
    entitledUntil: at.entitledUntil,
    updatedAt: at.updatedAt,
  }),
);

/** What was bought from now on. */
export async function saveBought(
  tx: Tx,
  vmId: string,
  {
    planId,
    planVersion,
    price,
    priceKept = false,
  }: Pick<Service, "planId" | "planVersion" | "price"> & { priceKept?: boolean | undefined },
  now: Date,
): Promise<void> {
  await tx
    .update(services)
    .set({
      planId,
      planVersion,
      interval: price?.interval ?? null,
      amountMinor: price?.amount.minor ?? null,
      currency: price?.amount.currency ?? null,
      priceKept,
      updatedAt: now,
    })
    .where(eq(services.vmId, vmId));
}

/** What follows the money: until when it may run, and what pays for it, as the provider last said. */
export async function saveEntitled(
  tx: Tx,
  vmId: string,
  to: Partial<
    Pick<Service, "subscriptionStatus" | "subscriptionVersion" | "entitledUntil" | "settledAt">
  >,
  now: Date,
): Promise<void> {
  await tx
    .update(services)
    .set({ ...to, updatedAt: now })
    .where(eq(services.vmId, vmId));
}

/** What staff change of it. */
export async function saveStaffsWord(
  tx: Tx,
  vmId: string,
  to: Partial<Pick<Service, "suspensions" | "grantedDays" | "grantedUntil" | "neverSuspendUntil">>,
  now: Date,
): Promise<void> {
  const { suspensions, ...rest } = to;
  await tx
    .update(services)
    .set({ ...rest, ...(suspensions && { suspensions: [...suspensions] }), updatedAt: now })
    .where(eq(services.vmId, vmId));
}

/** A reminder came late: it runs until then. */
export async function saveWarned(tx: Tx, vmId: string, until: Date, now: Date): Promise<void> {
  await tx
    .update(services)
    .set({ warnedUntil: until, updatedAt: now })
    .where(eq(services.vmId, vmId));
}

/** It stops so many days after its lease, whatever holds for its account. */
export async function saveOwnSuspendDays(
  tx: Tx,
  vmId: string,
  suspendDays: number,
  now: Date,
): Promise<void> {
  await tx.update(services).set({ suspendDays, updatedAt: now }).where(eq(services.vmId, vmId));
}

/** It was bought anew: by another subscription, of which nothing was said yet. */
export async function saveRevived(
  tx: Tx,
  vmId: string,
  to: Pick<
    Service,
    "subscriptionId" | "subscriptionStatus" | "subscriptionVersion" | "entitledUntil"
  >,
  now: Date,
): Promise<void> {
  const anew = { settledAt: null, triedAt: null, warnedUntil: null, frozenAt: null };
  const goesOn = { endWanted: false, endUntold: false, cancelAt: null, freezeUnsure: false };
  await tx
    .update(services)
    .set({ ...to, ...anew, ...goesOn, updatedAt: now })
    .where(eq(services.vmId, vmId));
}

/** The days of the policy that holds for an account's services from now on. @returns of each host that has some, one of their VMs. */
export async function saveSuspendDays(
  tx: Tx,
  accountId: string,
  suspendDays: number,
  now: Date,
): Promise<readonly { hostId: string; vmId: string }[]> {
  const rows = await tx
    .update(services)
    .set({ suspendDays, updatedAt: now })
    .from(vms)
    .where(
      and(
        eq(vms.id, services.vmId),
        eq(vms.accountId, accountId),
        sql`not ${services.vmIsToGo}`,
        sql`${services.suspendDays} <> ${suspendDays}`,
        // What is only tried has its own.
        notExists(
          tx
            .select({ id: trials.orderId })
            .from(trials)
            .where(and(eq(trials.vmId, services.vmId), isNull(trials.outcome))),
        ),
      ),
    )
    .returning({ hostId: vms.hostId, vmId: vms.id });
  return [...new Map(rows.map((row) => [row.hostId, row])).values()].toSorted((a, b) =>
    a.hostId < b.hostId ? -1 : 1,
  );
}

/** The same as `loadService`, held until the transaction ends. */
export async function lockService(tx: Tx, vmId: string): Promise<Service> {
  const [row] = await tx.select().from(services).where(eq(services.vmId, vmId)).for("update");
  if (!row) throw new Error(`nothing was bought of VM ${vmId}`);
  return serviceFromRow(row);
}

export async function saveEnd(
  tx: Tx,
  vmId: string,
  to: Partial<Pick<Service, "endWanted" | "endSaidAt" | "endUntold" | "cancelAt">>,
): Promise<void> {
  await tx.update(services).set(to).where(eq(services.vmId, vmId));
}

/** Those whose end was said and not told yet. */
export async function endsToTell(db: Db, limit: number): Promise<readonly string[]> {
  const rows = await db
    .select({ vmId: services.vmId })
    .from(services)
    .where(sql`${services.endUntold}`)
    .orderBy(asc(sql`coalesce(${services.triedAt}, ${services.endSaidAt})`))
    .limit(limit);
  return rows.map(({ vmId }) => vmId);
}

/** VMs whose last period is over (`isPeriodOver`), and whose data nothing holds back (`keepsData`). */
export async function servicesToEnd(db: Db, now: Date, limit: number): Promise<readonly string[]> {
  const rows = await db
    .select({ vmId: services.vmId })
    .from(services)
    .where(
      and(
        sql`${services.endWanted} and not ${services.vmIsToGo}`,
        lte(services.cancelAt, now),
        or(
          isNull(services.subscriptionId),
          inArray(services.subscriptionStatus, [...ENDED_STATUSES]),
        ),
        not(
          arrayOverlaps(
            services.suspensions,
            [...SUSPENSIONS].filter((s) => keepsData([s])),
          ),
        ),
      ),
    )
    .orderBy(asc(services.cancelAt))
    .limit(limit);
  return rows.map(({ vmId }) => vmId);
}

/** What the provider was asked failed: the next sweep takes it after those that were not tried as lately. */
export async function markTried(db: Db, vmId: string, now: Date): Promise<void> {
  await db.update(services).set({ triedAt: now }).where(eq(services.vmId, vmId));
}

/** The service that the subscription pays for. */
export async function serviceOfSubscription(
  db: Db,
  subscriptionId: string,
): Promise<Service | undefined> {
  const [row] = await db.select().from(services).where(eq(services.subscriptionId, subscriptionId));
  return row && serviceFromRow(row);
}

/** The same, held until the transaction ends. */
export async function lockServiceOfSubscription(
  tx: Tx,
  subscriptionId: string,
): Promise<Service | undefined> {
  const [row] = await tx
    .select()
    .from(services)
    .where(eq(services.subscriptionId, subscriptionId))
    .for("update");
  return row && serviceFromRow(row);
}

/** Ending the subscription failed: the next sweep takes it after those that were not tried as lately. */
export async function markCancellationTried(
  db: Db,
  subscriptionId: string,
  now: Date,
): Promise<void> {
  await db
    .update(services)
    .set({ triedAt: now })
    .where(eq(services.subscriptionId, subscriptionId));
}

/**
 * Subscriptions that still bill for VMs which are to be gone, and those that have ended, by whoever's word, and still ask for what nobody
 * settled.
 */
export async function subscriptionsToSettle(db: Db, limit: number): Promise<readonly string[]> {
  const rows = await db
    .select({ id: services.subscriptionId })
    .from(services)
    .where(
      and(
        isNotNull(services.subscriptionId),
        isNull(services.settledAt),
        // As the index `services_to_settle_idx` says it: with parameters it would not be used.
        sql`(${services.vmIsToGo} or ${services.subscriptionStatus} in ('canceled', 'incomplete_expired'))`,
      ),
    )
    .orderBy(asc(sql`coalesce(${services.triedAt}, ${services.updatedAt})`))
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
  isNotNull(services.subscriptionId),
  sql`${services.subscriptionStatus} not in ('canceled', 'incomplete_expired')`,
  eq(vms.presence, "present"),
);

const freezes = async (
  db: Db,
  when: SQL | undefined,
  since: typeof vms.lostAt | typeof services.frozenAt,
  limit: number,
) => {
  const rows = await db
    .select({
      subscriptionId: services.subscriptionId,
      since,
      status: services.subscriptionStatus,
      until: services.entitledUntil,
    })
    .from(services)
    .innerJoin(vms, eq(vms.id, services.vmId))
    .where(and(billed, when))
    .orderBy(asc(sql`coalesce(${services.triedAt}, ${services.updatedAt})`))
    .limit(limit);
  return rows.flatMap(({ subscriptionId, since: at, ...row }): Freeze[] =>
    subscriptionId !== null && at !== null ? [{ subscriptionId, since: at, ...row }] : [],
  );
};

/** What is billed for VMs that were lost before then. */
export const billingToFreeze = (db: Db, lostBefore: Date, limit: number): Promise<Freeze[]> =>
  freezes(
    db,
    and(or(isNull(services.frozenAt), services.freezeUnsure), lte(vms.lostAt, lostBefore)),
    vms.lostAt,
    limit,
  );

/** What is billed no more, or may not be, for VMs that are there again. */
export const billingToResume = (db: Db, limit: number): Promise<Freeze[]> =>
  freezes(db, and(isNotNull(services.frozenAt), isNull(vms.lostAt)), services.frozenAt, limit);

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
    .update(services)
    .set({ freezeUnsure: true, ...(frozenAt && { frozenAt }) })
    .where(eq(services.subscriptionId, subscriptionId));
};

/** What the provider has answered. The caller holds the service. */
export const setFrozen = async (tx: Tx, vmId: string, frozenAt: Date | null): Promise<void> => {
  await tx.update(services).set({ frozenAt, freezeUnsure: false }).where(eq(services.vmId, vmId));
};
