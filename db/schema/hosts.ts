import { sql } from "drizzle-orm";
import {
  boolean,
  check,
  cidr,
  customType,
  index,
  inet,
  integer,
  jsonb,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { HOST_STATES } from "#core/hosts/place-vm.ts";
import { hypervisor, locations } from "./catalogue.ts";
import { instant } from "./columns.ts";

export const hostState = pgEnum("host_state", HOST_STATES);

export const hosts = pgTable(
  "hosts",
  {
    id: uuid("id").primaryKey(),
    name: text("name").notNull(),
    locationId: uuid("location_id")
      .notNull()
      .references(() => locations.id),
    state: hostState("state").notNull().default("enrolling"),
    /** Staff marked it for tests: it may run emulated guests. */
    testOnly: boolean("test_only").notNull().default(false),
    /** null until the agent has enrolled and said so. */
    hypervisor: hypervisor("hypervisor"),
    accelerator: text("accelerator"),
    /** What the agent said of the host, as a whole; only read by people and the planner's capabilities. */
    facts: jsonb("facts"),
    /** What may be given away: measured size × overcommit − reserve, fixed at enrolment. */
    capacityVcpus: integer("capacity_vcpus").notNull().default(0),
    capacityMemoryMib: integer("capacity_memory_mib").notNull().default(0),
    capacityDiskGib: integer("capacity_disk_gib").notNull().default(0),
    capacityVms: integer("capacity_vms").notNull().default(0),
    /** What is given away: the sum over reservations that are not released. */
    allocatedVcpus: integer("allocated_vcpus").notNull().default(0),
    allocatedMemoryMib: integer("allocated_memory_mib").notNull().default(0),
    allocatedDiskGib: integer("allocated_disk_gib").notNull().default(0),
    allocatedVms: integer("allocated_vms").notNull().default(0),
    cpuOvercommit: integer("cpu_overcommit").notNull().default(4),
    queueUrl: text("queue_url"),
    /** The agent's Ed25519 public key (JWK `x`) and how often it has enrolled. */
    publicKey: text("public_key"),
    identityEpoch: integer("identity_epoch").notNull().default(0),
    /** Counts changes of the host's whole desired document. */
    desiredGeneration: integer("desired_generation").notNull().default(0),
    /** The generation and the content's hash that the agent was last given; null: none yet. */
    servedGeneration: integer("served_generation"),
    servedHash: text("served_hash"),
    lastSeenAt: instant("last_seen_at"),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    uniqueIndex("hosts_name_key").on(t.name),
    index("hosts_location_idx").on(t.locationId),
    check(
      "hosts_never_oversold",
      sql`${t.allocatedVcpus} between 0 and ${t.capacityVcpus}
        and ${t.allocatedMemoryMib} between 0 and ${t.capacityMemoryMib}
        and ${t.allocatedDiskGib} between 0 and ${t.capacityDiskGib}
        and ${t.allocatedVms} between 0 and ${t.capacityVms}`,
    ),
    check(
      "hosts_served_is_desired",
      sql`(${t.servedGeneration} is null) = (${t.servedHash} is null)
        and ${t.servedGeneration} <= ${t.desiredGeneration}`,
    ),
    check(
      "hosts_active_is_enrolled",
      sql`${t.state} = 'enrolling' or (${t.publicKey} is not null and ${t.hypervisor} is not null)`,
    ),
  ],
);

/** Single-use join tokens, stored hashed and bound to one host. */
export const joinTokens = pgTable(
  "join_tokens",
  {
    tokenHash: text("token_hash").primaryKey(),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    expiresAt: instant("expires_at").notNull(),
    usedAt: instant("used_at"),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [index("join_tokens_host_idx").on(t.hostId)],
);

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
  (t) => [index("network_pools_location_idx").on(t.locationId)],
);

/** One row for each address that can be leased, so that a search for a free one can lock it. */
export const ipAddresses = pgTable(
  "ip_addresses",
  {
    address: inet("address").notNull(),
    poolId: uuid("pool_id")
      .notNull()
      .references(() => networkPools.id),
    /** Until when it is leased or in quarantine; `-infinity` when it was never leased. Kept with the lease. */
    busyUntil: instant("busy_until")
      .notNull()
      .default(sql`'-infinity'`),
  },
  (t) => [
    primaryKey({ name: "ip_addresses_pkey", columns: [t.poolId, t.address] }),
    index("ip_addresses_free_idx").on(t.poolId, t.busyUntil, t.address),
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
