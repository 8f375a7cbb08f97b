import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  foreignKey,
  integer,
  jsonb,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { TRIAL_ENDS } from "#core/catalogue/trial-policy.ts";
import { DOWNGRADES, TAX_BEHAVIORS } from "#core/catalogue/sold.ts";
import { THREE_DECIMALS, WRITTEN_WITH_TWO } from "#core/currencies.ts";
import { HYPERVISORS, type Hypervisor } from "#core/hosts/limits.ts";
import { BILLING_INTERVALS } from "#core/orders/order.ts";
import { DISK_BUSES, FIRMWARES, SECURE_BOOTS } from "#core/vms/image-hardware.ts";
import { OS_FAMILIES } from "#core/vms/vm.ts";
import { currencyCode, instant, minorUnits } from "./columns.ts";

export const billingInterval = pgEnum("billing_interval", BILLING_INTERVALS);
export const downgrade = pgEnum("downgrade", DOWNGRADES);
export const taxBehavior = pgEnum("tax_behavior", TAX_BEHAVIORS);
export const osFamily = pgEnum("os_family", OS_FAMILIES);
export const imageFirmware = pgEnum("image_firmware", FIRMWARES);
export const imageSecureBoot = pgEnum("image_secure_boot", SECURE_BOOTS);
export const imageDiskBus = pgEnum("image_disk_bus", DISK_BUSES);
export const hypervisor = pgEnum("hypervisor", HYPERVISORS);

export const locations = pgTable(
  "locations",
  {
    id: uuid("id").primaryKey(),
    /** Short name that people know: `fsn1`. */
    name: text("name").notNull(),
    city: text("city").notNull(),
    country: text("country").notNull(),
    nameservers: text("nameservers").array().notNull(),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    uniqueIndex("locations_name_key").on(t.name),
    check("locations_country_is_iso", sql`${t.country} ~ '^[A-Z]{2}$'`),
  ],
);

export const trialEnds = pgEnum("trial_ends", TRIAL_ENDS);

/** On which terms VMs may be tried: the newest row holds; without days nothing may be. Never changed. */
export const trialPolicies = pgTable(
  "trial_policies",
  {
    version: integer("version").primaryKey().generatedByDefaultAsIdentity(),
    days: integer("days"),
    endsIn: trialEnds("ends_in"),
    suspendDays: integer("suspend_days"),
    noticeDays: integer("notice_days"),
    mostAtOnce: integer("most_at_once"),
    /** null: every plan. */
    planIds: uuid("plan_ids").array(),
    from: instant("from").notNull(),
    saidBy: uuid("said_by").notNull(),
    reason: text("reason").notNull(),
  },
  (t) => [
    check(
      "trial_policies_whole",
      sql`num_nonnulls(${t.days}, ${t.endsIn}, ${t.suspendDays}, ${t.noticeDays}, ${t.mostAtOnce}) in (0, 5)`,
    ),
    check(
      "trial_policies_days",
      sql`${t.days} between 1 and 730 and ${t.suspendDays} >= 0 and ${t.noticeDays} >= 0 and ${t.mostAtOnce} > 0`,
    ),
  ],
);

/** A name that things are sold under. What is sold is its newest version. */
export const plans = pgTable(
  "plans",
  {
    id: uuid("id").primaryKey(),
    name: text("name").notNull(),
    available: boolean("available").notNull().default(true),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [uniqueIndex("plans_name_key").on(t.name)],
);

/** What is sold under a plan's name, and was. Never changed (a trigger refuses it): who bought one keeps it (docs/adr/0045). */
export const planVersions = pgTable(
  "plan_versions",
  {
    planId: uuid("plan_id")
      .notNull()
      .references(() => plans.id),
    /** From 1, without a gap. */
    version: integer("version").notNull(),
    vcpus: integer("vcpus").notNull(),
    memoryMib: integer("memory_mib").notNull(),
    diskGib: integer("disk_gib").notNull(),
    /** Outgoing traffic in the price, per month. */
    trafficGib: integer("traffic_gib").notNull(),
    bandwidthMbit: integer("bandwidth_mbit"),
    diskIops: integer("disk_iops"),
    /** When a VM of it becomes a smaller one. */
    downgrade: downgrade("downgrade").notNull().default("renewal"),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    primaryKey({ name: "plan_versions_pkey", columns: [t.planId, t.version] }),
    check("plan_versions_from_one", sql`${t.version} > 0`),
    check(
      "plan_versions_size_positive",
      sql`${t.vcpus} > 0 and ${t.memoryMib} > 0 and ${t.diskGib} > 0 and ${t.trafficGib} >= 0`,
    ),
    check("plan_versions_limits_positive", sql`${t.bandwidthMbit} > 0 and ${t.diskIops} > 0`),
  ],
);

const listed = (codes: readonly string[]) => sql.raw(`(${codes.map((c) => `'${c}'`).join(", ")})`);

/** A version's prices: never changed either, but for the provider's id, which is told once. */
export const planPrices = pgTable(
  "plan_prices",
  {
    id: uuid("id").primaryKey(),
    planId: uuid("plan_id").notNull(),
    planVersion: integer("plan_version").notNull(),
    interval: billingInterval("interval").notNull(),
    amountMinor: minorUnits("amount_minor").notNull(),
    currency: currencyCode().notNull(),
    /** null: as the provider's account says. */
    taxBehavior: taxBehavior("tax_behavior"),
    /** null until the first order needs it, or a catalogue's sync makes it. */
    stripePriceId: text("stripe_price_id"),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    foreignKey({
      name: "plan_prices_plan_version_fk",
      columns: [t.planId, t.planVersion],
      foreignColumns: [planVersions.planId, planVersions.version],
    }),
    // An order and a service have an interval and a currency, and must find one price and no other.
    uniqueIndex("plan_prices_version_interval_currency_key").on(
      t.planId,
      t.planVersion,
      t.interval,
      t.currency,
    ),
    check("plan_prices_positive", sql`${t.amountMinor} > 0`),
    check(
      "plan_prices_on_step",
      sql`${t.amountMinor} % case when ${t.currency} in ${listed(THREE_DECIMALS)} then 10
        when ${t.currency} in ${listed(WRITTEN_WITH_TWO)} then 100 else 1 end = 0`,
    ),
  ],
);

export const images = pgTable(
  "images",
  {
    id: uuid("id").primaryKey(),
    name: text("name").notNull(),
    os: osFamily("os").notNull(),
    /** The file's name on every host, without the ending that each hypervisor adds. */
    file: text("file").notNull(),
    hypervisors: hypervisor("hypervisors").array().notNull(),
    minMemoryMib: integer("min_memory_mib").notNull(),
    minDiskGib: integer("min_disk_gib").notNull(),
    /** Of the file's bytes, by hypervisor; for one that is left out any file of that name will do. */
    sha256: jsonb("sha256")
      .$type<Partial<Record<Hypervisor, string | undefined>>>()
      .notNull()
      .default({}),
    /** Whether its guest says that it is up; one that should and does not is looked at by staff. */
    speaks: boolean("speaks").notNull().default(true),
    /** What it asks of the machine around it; null: what the hypervisor gives of itself. */
    firmware: imageFirmware("firmware"),
    secureBoot: imageSecureBoot("secure_boot"),
    diskBus: imageDiskBus("disk_bus"),
    available: boolean("available").notNull().default(true),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    uniqueIndex("images_name_key").on(t.name),
    check("images_file_is_bare", sql`${t.file} ~ '^[a-z0-9][a-z0-9._-]{0,99}$'`),
    check(
      "images_secure_boot_is_of_uefi",
      sql`${t.secureBoot} is null or ${t.firmware} is not distinct from 'uefi'`,
    ),
    check("images_run_somewhere", sql`cardinality(${t.hypervisors}) > 0`),
  ],
);

/** Where hosts fetch an image's file from, by hypervisor. Its checksum stands with the image (docs/adr/0039). */
export const imageSources = pgTable(
  "image_sources",
  {
    imageId: uuid("image_id")
      .notNull()
      .references(() => images.id),
    hypervisor: hypervisor("hypervisor").notNull(),
    url: text("url").notNull(),
    /** Of the file; null: not told. */
    bytes: bigint("bytes", { mode: "number" }),
    /** Whose hosts should hold it; null: all. */
    locationIds: uuid("location_ids").array(),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    primaryKey({ name: "image_sources_pkey", columns: [t.imageId, t.hypervisor] }),
    check("image_sources_http", sql`${t.url} ~ '^https?://'`),
    check("image_sources_bytes_positive", sql`${t.bytes} > 0`),
    check("image_sources_somewhere", sql`cardinality(${t.locationIds}) > 0`),
  ],
);
