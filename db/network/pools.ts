import { and, count, eq, lte, sql } from "drizzle-orm";
import type { Db, Tx } from "#db/client.ts";
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
    insert into ip_addresses (pool_id, address)
    select ${pool.id}::uuid, a::inet from unnest(${sql.param([...pool.addresses])}::text[]) a`);
}

export async function freeAddresses(db: Db, locationId: string, now: Date): Promise<number> {
  const [row] = await db
    .select({ free: count() })
    .from(ipAddresses)
    .innerJoin(networkPools, eq(networkPools.id, ipAddresses.poolId))
    .where(and(eq(networkPools.locationId, locationId), lte(ipAddresses.busyUntil, now)));
  return row?.free ?? 0;
}
