import { PEOPLE } from "./accounts.ts";

/* What is for sale, fixed, so that the database is brought back to it between runs by one text of SQL. */

const id = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
export const LOCATION_ID = id(100);
const POOL_ID = id(101);
/** A block with five addresses to give away: few enough to run out. */
export const ADDRESSES = Array.from({ length: 5 }, (_, n) => `198.18.0.${n + 2}`);

/** The third is only resized to: its disk is the first one's, so that there is a way down, and it has less bandwidth than that. */
export const PLANS = [
  {
    id: id(200),
    name: "small",
    vcpus: 1,
    memoryMib: 1024,
    diskGib: 10,
    bandwidthMbit: 1000,
    diskIops: 2000,
    downgrade: "renewal",
    month: 500,
    year: 5000,
  },
  {
    id: id(201),
    name: "large",
    vcpus: 4,
    memoryMib: 8192,
    diskGib: 80,
    bandwidthMbit: 4000,
    diskIops: null,
    downgrade: "renewal",
    month: 4000,
    year: 40_000,
  },
  {
    id: id(202),
    name: "medium",
    vcpus: 2,
    memoryMib: 2048,
    diskGib: 10,
    bandwidthMbit: 500,
    diskIops: 5000,
    downgrade: "now",
    month: 1200,
    year: 12_000,
  },
] as const;
const priceId = (plan: number, interval: "month" | "year") =>
  id((interval === "month" ? 210 : 220) + plan);
/** The prices of the first versions. */
export const PRICES = PLANS.flatMap((plan, n) =>
  (["month", "year"] as const).map((interval) => ({
    id: priceId(n, interval),
    planId: plan.id,
    interval,
  })),
);
/** Windows asks for a firmware, and so for a word that an older agent does not know. */
export const IMAGES = [
  { id: id(300), name: "linux", os: "linux", hypervisors: "{kvm,hyperv}", firmware: null },
  { id: id(301), name: "windows", os: "windows", hypervisors: "{hyperv}", firmware: "uefi" },
] as const;

export const asksFirmware = (imageId: string | undefined): boolean =>
  IMAGES.some((image) => image.id === imageId && image.firmware !== null);

const text = (value: string | number | null) =>
  value === null ? "null" : `'${String(value).replaceAll("'", "''")}'`;
const values = (...all: (string | number | null)[]) => `(${all.map(text).join(", ")})`;
const MADE = "2026-01-01T00:00:00Z";

/** Of the trials: so many days, and so many that one which nobody pays for runs on. */
export const TRIAL = { days: 5, suspendDays: 1 };
const TRIAL_TERMS = values(
  1,
  TRIAL.days,
  "payment",
  TRIAL.suspendDays,
  2,
  10,
  PEOPLE[0].accountId,
  "spring",
  MADE,
);

const STANDING = `
  update installation set id = ${text(id(900))};
  insert into accounts (id, email, name, role, staff_role, email_verified, created_at, updated_at) values
    ${PEOPLE.map((p) => values(p.accountId, `${p.name}@example.test`, p.name, p.role, p.role === "staff" ? "owner" : null, "true", MADE, MADE)).join(",")};
  insert into locations (id, name, city, country, nameservers, created_at) values
    ${values(LOCATION_ID, "here", "Here", "DE", "{198.18.0.1}", MADE)};
  insert into network_pools (id, location_id, cidr, gateway, prefix, created_at) values
    ${values(POOL_ID, LOCATION_ID, "198.18.0.0/29", "198.18.0.1", 29, MADE)};
  insert into plans (id, name, created_at) values ${PLANS.map((p) => values(p.id, p.name, MADE)).join(",")};
  insert into images (id, name, os, file, hypervisors, firmware, min_memory_mib, min_disk_gib, created_at) values
    ${IMAGES.map((i) => values(i.id, i.name, i.os, i.name, i.hypervisors, i.firmware, 256, 5, MADE)).join(",")};
  insert into trial_policies (version, days, ends_in, suspend_days, notice_days, most_at_once, said_by, reason, "from") values
    ${TRIAL_TERMS}
`;

const CHANGING = `
  insert into ip_addresses (address, pool_id, location_id) values
    ${ADDRESSES.map((address) => values(address, POOL_ID, LOCATION_ID)).join(",")};
  insert into plan_versions (plan_id, version, vcpus, memory_mib, disk_gib, traffic_gib, bandwidth_mbit, disk_iops, downgrade, created_at) values
    ${PLANS.map((p) => values(p.id, 1, p.vcpus, p.memoryMib, p.diskGib, 1024, p.bandwidthMbit, p.diskIops, p.downgrade, MADE)).join(",")};
  insert into plan_prices (id, plan_id, plan_version, "interval", amount_minor, currency, created_at) values
    ${PLANS.flatMap((p, n) => [
      values(priceId(n, "month"), p.id, 1, "month", p.month, "usd", MADE),
      values(priceId(n, "year"), p.id, 1, "year", p.year, "usd", MADE),
    ]).join(",")}
`;

/** Leaves only so many addresses to give away. */
export const onlyAddresses = (count: number): string =>
  `delete from ip_addresses where address = any ('{${ADDRESSES.slice(count).join(",")}}'::inet[])`;

/** Rows that every run begins with: those that no run changes, with their tables, and the others. */
export type Fixture = Readonly<{
  standing: string;
  standingTables: readonly string[];
  changing: string;
}>;

export const FIXTURE: Fixture = {
  standing: STANDING,
  standingTables: [
    "installation",
    "accounts",
    "locations",
    "network_pools",
    "plans",
    "images",
    "ending_policies",
    "dunning_policies",
    "trial_policies",
    // Of better-auth, which the simulator's people do without (`accounts.ts`).
    "api_tokens",
    "auth_rate_limits",
    "mailed_links",
    "spent_codes",
    "credentials",
    "sessions",
    "two_factors",
    "verifications",
  ],
  changing: CHANGING,
};
