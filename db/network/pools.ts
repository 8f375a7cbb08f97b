import { and, eq, exists, lte, sql } from "drizzle-orm";
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
  const free = db
    .select({ one: sql`1` })
    .from(ipAddresses)
    .where(and(eq(ipAddresses.locationId, locations.id), lte(ipAddresses.busyUntil, now)));
  const rows = await db.select({ id: locations.id }).from(locations).where(exists(free));
  return new Set(rows.map(({ id }) => id));
}
