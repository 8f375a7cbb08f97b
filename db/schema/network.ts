import { sql } from "drizzle-orm";
import {
  cidr,
  customType,
  foreignKey,
  index,
  inet,
  integer,
  pgTable,
  primaryKey,
  unique,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { locations } from "./catalogue.ts";
import { instant } from "./columns.ts";

export const networkPools = pgTable(
  "network_pools",
  {
    id: uuid("id").primaryKey(),
    locationId: uuid("location_id")
      .notNull()
      .references(() => locations.id),
    cidr: cidr("cidr").notNull(),
    gateway: inet("gateway").notNull(),
    prefix: integer("prefix").notNull(),
    vlan: integer("vlan"),
    createdAt: instant("created_at").notNull(),
  },
  // No two pools share an address: the exclusion constraint `network_pools_no_overlap` stands in the migration.
  (t) => [
    index("network_pools_location_idx").on(t.locationId),
    unique("network_pools_of_location_key").on(t.id, t.locationId),
  ],
);

/** One row for each address that can be leased, so that a search for a free one can lock it. */
export const ipAddresses = pgTable(
  "ip_addresses",
  {
    address: inet("address").notNull(),
    poolId: uuid("pool_id").notNull(),
    /** Its pool's: so that the next free one of a location is found by an index. */
    locationId: uuid("location_id").notNull(),
    /** Until when it is leased or in quarantine; `-infinity` when it was never leased. Kept with the lease. */
    busyUntil: instant("busy_until")
      .notNull()
      .default(sql`'-infinity'`),
  },
  (t) => [
    primaryKey({ name: "ip_addresses_pkey", columns: [t.poolId, t.address] }),
    foreignKey({
      name: "ip_addresses_pool_fk",
      columns: [t.poolId, t.locationId],
      foreignColumns: [networkPools.id, networkPools.locationId],
    }),
    index("ip_addresses_free_idx").on(t.locationId, t.busyUntil, t.address),
  ],
);

const tstzrange = customType<{ data: string }>({ dataType: () => "tstzrange" });

/**
 * Who holds an address, and when. `during` ends after the quarantine; the exclusion constraint (in the
 * migration: drizzle has no word for it) lets no two leases of one address overlap.
 */
export const ipLeases = pgTable(
  "ip_leases",
  {
    id: uuid("id").primaryKey(),
    poolId: uuid("pool_id")
      .notNull()
      .references(() => networkPools.id),
    address: inet("address").notNull(),
    /** The VM that the order will become; no foreign key, since the lease is older than the VM. */
    vmId: uuid("vm_id").notNull(),
    during: tstzrange("during").notNull(),
    releasedAt: instant("released_at"),
  },
  (t) => [
    index("ip_leases_vm_idx").on(t.vmId),
    uniqueIndex("ip_leases_open_address_key")
      .on(t.address)
      .where(sql`${t.releasedAt} is null`),
  ],
);
