import { and, asc, desc, eq, isNull, sql } from "drizzle-orm";
import type { SoldAs, SoldPrice } from "#core/catalogue/sold.ts";
import type { Hypervisor } from "#core/hosts/limits.ts";
import type { ImageHardware } from "#core/vms/image-hardware.ts";
import type { OsFamily } from "#core/vms/vm.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { images, locations, planPrices, plans, planVersions } from "#db/schema/catalogue.ts";
import { together } from "#db/together.ts";

/** What a version of a plan gives, and for how much. */
export type Sold = Omit<SoldAs, "prices"> & Readonly<{ prices: readonly PlanPrice[] }>;
/** One version of a plan. What is on sale of it is the newest; who bought an older one keeps that. */
export type Plan = Sold &
  Readonly<{
    id: string;
    version: number;
    name: string;
    /** Its newest version is on sale. */
    available: boolean;
  }>;
export type PlanPrice = SoldPrice & Readonly<{ id: string; stripePriceId: string | null }>;
export type Image = Readonly<{
  id: string;
  name: string;
  os: OsFamily;
  file: string;
  hypervisors: readonly Hypervisor[];
  minMemoryMib: number;
  minDiskGib: number;
  /** Of the file's bytes, by hypervisor; for one that is left out any file of that name will do. */
  sha256: Readonly<Partial<Record<Hypervisor, string | undefined>>>;
  /** Whether its guest says that it is up. */
  speaks: boolean;
  hardware: ImageHardware;
  available: boolean;
}>;
export type Location = Readonly<{
  id: string;
  name: string;
  city: string;
  country: string;
  nameservers: readonly string[];
}>;

type PlanRow = Readonly<{
  plan: typeof plans.$inferSelect;
  version: typeof planVersions.$inferSelect;
}>;

const planFromRows = (
  { plan, version: v }: PlanRow,
  prices: readonly (typeof planPrices.$inferSelect)[],
): Plan => ({
  id: plan.id,
  version: v.version,
  name: plan.name,
  size: { vcpus: v.vcpus, memoryMib: v.memoryMib, diskGib: v.diskGib },
  trafficGib: v.trafficGib,
  bandwidthMbit: v.bandwidthMbit,
  diskIops: v.diskIops,
  downgrade: v.downgrade,
  available: plan.available,
  prices: prices
    .filter((r) => r.planId === plan.id && r.planVersion === v.version)
    .map((r) => ({
      id: r.id,
      interval: r.interval,
      amount: { minor: r.amountMinor, currency: currencyFromRow(r.currency) },
      taxBehavior: r.taxBehavior,
      stripePriceId: r.stripePriceId,
    })),
});

const versions = (db: Db | Tx) =>
  db
    .select({ plan: plans, version: planVersions })
    .from(plans)
    .innerJoin(planVersions, eq(planVersions.planId, plans.id));

const isNewest = sql`${planVersions.version} =
  (select max(newer.version) from ${planVersions} newer where newer.plan_id = ${plans.id})`;

/** The newest version of each plan on sale. */
export async function listPlans(db: Db): Promise<readonly Plan[]> {
  const rows = await versions(db)
    .where(and(eq(plans.available, true), isNewest))
    .orderBy(asc(planVersions.memoryMib), asc(plans.name));
  const prices = await db
    .select()
    .from(planPrices)
    .orderBy(asc(planPrices.currency), asc(planPrices.amountMinor));
  return rows.map((row) => planFromRows(row, prices));
}

/** All versions of all plans, on sale or not, always in one order: of each plan the newest first. */
export async function loadAllPlans(db: Db | Tx): Promise<readonly Plan[]> {
  const rows = await versions(db).orderBy(asc(plans.name), desc(planVersions.version));
  const prices = await db
    .select()
    .from(planPrices)
    .orderBy(asc(planPrices.currency), asc(planPrices.interval), asc(planPrices.id));
  return rows.map((row) => planFromRows(row, prices));
}

/** No plan is added a version, put on sale or taken off it until the transaction ends. */
export async function lockPlans(tx: Tx): Promise<void> {
  await tx.select({ id: plans.id }).from(plans).orderBy(asc(plans.id)).for("no key update");
}

export async function savePlanAvailable(tx: Tx, id: string, available: boolean): Promise<void> {
  await tx.update(plans).set({ available }).where(eq(plans.id, id));
}

/** A plan's versions, the newest first. */
export async function loadPlanVersions(db: Db | Tx, planId: string): Promise<readonly Plan[]> {
  const rows = await versions(db).where(eq(plans.id, planId)).orderBy(desc(planVersions.version));
  const prices = await db.select().from(planPrices).where(eq(planPrices.planId, planId));
  return rows.map((row) => planFromRows(row, prices));
}

/** What is sold under the plan's name, or would be if it were `available`. */
export const loadNewestPlan = async (db: Db | Tx, planId: string): Promise<Plan | undefined> =>
  (await loadPlanVersions(db, planId))[0];

/** What was bought, or ordered. */
export async function loadPlan(
  db: Db | Tx,
  of: Readonly<{ planId: string; planVersion: number }>,
): Promise<Plan> {
  const at = { id: of.planId, version: of.planVersion };
  const [[row], prices] = await together([versionOfPlan(db, at), pricesOfVersion(db, at)]);
  if (!row) throw new Error(`version ${at.version} of plan ${at.id} vanished`);
  return planFromRows(row, prices);
}

type OneVersion = Slots<{ id: string; version: number }>;
const versionOfPlan = prepared("version_of_plan", (db, at: OneVersion) =>
  versions(db).where(and(eq(plans.id, at.id), eq(planVersions.version, at.version))),
);
const pricesOfVersion = prepared("prices_of_version", (db, at: OneVersion) =>
  db
    .select()
    .from(planPrices)
    .where(and(eq(planPrices.planId, at.id), eq(planPrices.planVersion, at.version))),
);

/** The plan's newest version, which stays the newest until the transaction ends. */
export async function lockPlan(tx: Tx, planId: string): Promise<Plan | undefined> {
  await tx.select().from(plans).where(eq(plans.id, planId)).for("no key update");
  return loadNewestPlan(tx, planId);
}

export async function rememberStripePrice(
  db: Db,
  priceId: string,
  stripeId: string,
): Promise<void> {
  await db
    .update(planPrices)
    .set({ stripePriceId: stripeId })
    .where(and(eq(planPrices.id, priceId), isNull(planPrices.stripePriceId)));
}

export const imageFromRow = ({
  firmware,
  secureBoot,
  diskBus,
  ...image
}: typeof images.$inferSelect): Image => ({
  ...image,
  hardware: { firmware, secureBoot, diskBus },
});

export async function listImages(db: Db): Promise<readonly Image[]> {
  const available = eq(images.available, true);
  const rows = await db.select().from(images).where(available).orderBy(asc(images.name));
  return rows.map(imageFromRow);
}

export async function loadImage(db: Db | Tx, id: string): Promise<Image | undefined> {
  const [row] = await db.select().from(images).where(eq(images.id, id));
  return row && imageFromRow(row);
}

export const listLocations = (db: Db): Promise<readonly Location[]> =>
  db.select().from(locations).orderBy(asc(locations.name));

export async function loadLocation(db: Db | Tx, id: string): Promise<Location | undefined> {
  const [row] = await db.select().from(locations).where(eq(locations.id, id));
  return row;
}

export async function insertLocation(tx: Tx, l: Location, now: Date): Promise<void> {
  await tx.insert(locations).values({ ...l, nameservers: [...l.nameservers], createdAt: now });
}

/** A new plan, with its first version. */
export async function insertPlan(tx: Tx, p: Omit<Plan, "version">, now: Date): Promise<void> {
  const { id, name, available } = p;
  await tx.insert(plans).values({ id, name, available, createdAt: now });
  await insertPlanVersion(tx, { ...p, version: 1 }, now);
}

/** Another version of a plan. The caller holds the plan, and this one follows its newest. */
export async function insertPlanVersion(tx: Tx, p: Plan, now: Date): Promise<void> {
  await tx.insert(planVersions).values({
    planId: p.id,
    version: p.version,
    ...p.size,
    trafficGib: p.trafficGib,
    bandwidthMbit: p.bandwidthMbit,
    diskIops: p.diskIops,
    downgrade: p.downgrade,
    createdAt: now,
  });
  if (p.prices.length > 0)
    await tx.insert(planPrices).values(
      p.prices.map((r) => ({
        id: r.id,
        planId: p.id,
        planVersion: p.version,
        interval: r.interval,
        amountMinor: r.amount.minor,
        currency: r.amount.currency,
        taxBehavior: r.taxBehavior,
        stripePriceId: r.stripePriceId,
        createdAt: now,
      })),
    );
}

export async function insertImage(tx: Tx, i: Image, now: Date): Promise<void> {
  const { hardware, ...image } = i;
  const hypervisors = [...image.hypervisors];
  await tx.insert(images).values({ ...image, ...hardware, hypervisors, createdAt: now });
}
