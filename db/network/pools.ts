import { eq, min, sql } from "drizzle-orm";
import type { Db, Tx } from "#db/client.ts";
import { locations } from "#db/schema/catalogue.ts";
import { ipAddresses, networkPools } from "#db/schema/network.ts";

/** Adds a block of addresses to a location, one row for each address that a VM may have. */
export async function insertPool(
  tx: Tx,
  pool: {
    id: string;
    locationId: string;
    cidr: string;
    gateway: string;
    vlan: number | null;
    addresses: readonly string[];
  },
  now: Date,
): Promise<void> {
  await tx.insert(networkPools).values({
    id: pool.id,
    locationId: pool.locationId,
    cidr: pool.cidr,
    gateway: pool.gateway,
    prefix: Number(pool.cidr.split("/")[1]),
    vlan: pool.vlan,
    createdAt: now,
  });
  await tx.execute(sql`
    insert into ip_addresses (pool_id, location_id, address)
    select ${pool.id}::uuid, ${pool.locationId}::uuid, a::inet from unnest(${sql.param([...pool.addresses])}::text[]) a`);
}

/** The locations that have an address to give away now. */
export async function locationsWithAddress(db: Db, now: Date): Promise<ReadonlySet<string>> {
  // By its least: that is one look into an index, however the planner thinks of how many are free.
  const first = db
    .select({ at: min(ipAddresses.busyUntil) })
    .from(ipAddresses)
    .where(eq(ipAddresses.locationId, locations.id));
  const rows = await db
    .select({ id: locations.id })
    .from(locations)
    .where(sql`${first} <= ${now.toISOString()}::timestamptz`);
  return new Set(rows.map(({ id }) => id));
}
