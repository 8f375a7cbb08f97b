import { asc, eq } from "drizzle-orm";
import type { Hypervisor } from "#core/hosts/limits.ts";
import type { Money } from "#core/money.ts";
import type { BillingInterval } from "#core/orders/order.ts";
import type { ImageHardware } from "#core/vms/image-hardware.ts";
import type { OsFamily, VmSize } from "#core/vms/vm.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { images, locations, planPrices, plans } from "#db/schema/catalogue.ts";

export type Plan = Readonly<{
  id: string;
  name: string;
  size: VmSize;
  trafficGib: number;
  bandwidthMbit: number | null;
  diskIops: number | null;
  available: boolean;
  prices: readonly PlanPrice[];
}>;
export type PlanPrice = Readonly<{
  id: string;
  interval: BillingInterval;
  amount: Money;
  stripePriceId: string | null;
}>;
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

const planFromRows = (
  p: typeof plans.$inferSelect,
  prices: readonly (typeof planPrices.$inferSelect)[],
): Plan => ({
  id: p.id,
  name: p.name,
  size: { vcpus: p.vcpus, memoryMib: p.memoryMib, diskGib: p.diskGib },
  trafficGib: p.trafficGib,
  bandwidthMbit: p.bandwidthMbit,
  diskIops: p.diskIops,
  available: p.available,
  prices: prices
    .filter((r) => r.planId === p.id)
    .map((r) => ({
      id: r.id,
      interval: r.interval,
      amount: { minor: r.amountMinor, currency: currencyFromRow(r.currency) },
      stripePriceId: r.stripePriceId,
    })),
});

export async function listPlans(db: Db): Promise<readonly Plan[]> {
  const rows = await db
    .select()
    .from(plans)
    .where(eq(plans.available, true))
    .orderBy(asc(plans.memoryMib), asc(plans.name));
  const prices = await db.select().from(planPrices).orderBy(asc(planPrices.amountMinor));
  return rows.map((p) => planFromRows(p, prices));
}

export async function loadPlan(db: Db | Tx, id: string): Promise<Plan | undefined> {
  const [row] = await db.select().from(plans).where(eq(plans.id, id));
  if (!row) return undefined;
  return planFromRows(row, await db.select().from(planPrices).where(eq(planPrices.planId, id)));
}

export async function rememberStripePrice(
  db: Db,
  priceId: string,
  stripeId: string,
): Promise<void> {
  await db.update(planPrices).set({ stripePriceId: stripeId }).where(eq(planPrices.id, priceId));
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

export async function insertPlan(tx: Tx, p: Plan, now: Date): Promise<void> {
  await tx.insert(plans).values({
    id: p.id,
    name: p.name,
    ...p.size,
    trafficGib: p.trafficGib,
    bandwidthMbit: p.bandwidthMbit,
    diskIops: p.diskIops,
    available: p.available,
    createdAt: now,
  });
  if (p.prices.length > 0)
    await tx.insert(planPrices).values(
      p.prices.map((r) => ({
        id: r.id,
        planId: p.id,
        interval: r.interval,
        amountMinor: r.amount.minor,
        currency: r.amount.currency,
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
