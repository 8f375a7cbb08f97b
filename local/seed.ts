import { PLAIN_HARDWARE } from "#core/vms/image-hardware.ts";
import { eq } from "drizzle-orm";
import { SCOPES_OF_ROLE, type LogIns, type Role, type Scope } from "#core/accounts/accounts.ts";
import type { Hypervisor } from "#core/hosts/limits.ts";
import type { Result } from "#core/result.ts";
import { addImage, addLocation, addPlan } from "#commands/catalogue/add-catalogue.ts";
import { addPool } from "#commands/network/add-pool.ts";
import type { Deps } from "#commands/deps.ts";
import { addHost, issueJoinToken } from "#commands/hosts/add-host.ts";
import { listLocations } from "#db/catalogue/catalogue.ts";
import { accounts } from "#db/schema/accounts.ts";
import { hosts } from "#db/schema/hosts.ts";
import { networkPools } from "#db/schema/network.ts";

/** What the local stack sells. Prices are examples. The smallest has no limits that an old kernel cannot set. */
const PLANS = [
  { name: "XS", vcpus: 1, memoryMib: 128, diskGib: 1, mbit: null, month: 200n, year: 2000n },
  { name: "S", vcpus: 1, memoryMib: 1024, diskGib: 20, mbit: 1000, month: 500n, year: 5000n },
  { name: "M", vcpus: 2, memoryMib: 4096, diskGib: 80, mbit: 1000, month: 1500n, year: 15_000n },
  { name: "L", vcpus: 8, memoryMib: 16_384, diskGib: 240, mbit: 1000, month: 4800n, year: 48_000n },
];
const IMAGES = [
  {
    name: "Debian 13",
    file: "debian-13",
    os: "linux",
    on: ["kvm", "hyperv"],
    memory: 256,
    disk: 3,
  },
  { name: "FreeBSD 15", file: "freebsd-15", os: "freebsd", on: ["kvm"], memory: 512, disk: 6 },
  {
    name: "Windows Server 2025",
    file: "windows-server-2025",
    os: "windows",
    on: ["hyperv"],
    memory: 2048,
    disk: 32,
  },
  { name: "Tiny Linux", file: "tiny", os: "linux", on: ["kvm", "hyperv"], memory: 96, disk: 1 },
] as const;

/** The files of the images that such a host is to have, with the least disk of each. */
export const imageFilesFor = (
  hypervisor: Hypervisor,
): readonly { file: string; diskGib: number }[] =>
  IMAGES.flatMap(({ on, file, disk }) =>
    on.some((one) => one === hypervisor) ? [{ file, diskGib: disk }] : [],
  );

/** RFC 2544's benchmarking block: an address that nobody's network uses. */
const POOL = { cidr: "198.18.0.0/22", gateway: "198.18.0.1" };

const SEED = { kind: "system", id: "seed" } as const;
const must = <T>(result: Result<T, { code: string; detail: string }>): T => {
  if (result.ok) return result.value;
  throw new Error(`the seed was refused: ${result.error.detail}`);
};
/** What an earlier seed, cut short, has made already is as good. */
const mustBeThere = (result: Result<unknown, { code: string; detail: string }>): void => {
  if (!result.ok && result.error.code !== "name_taken") must(result);
};
const LOCATION = "local";

/**
 * Fills an empty catalogue, by the commands that staff use, or finishes one that a crash cut short. The pool comes
 * last: where there is one, the rest is there too, and nothing is changed.
 */
export async function seedCatalogue(deps: Deps): Promise<{ locationId: string }> {
  const [pool] = await deps.db
    .select({ locationId: networkPools.locationId })
    .from(networkPools)
    .orderBy(networkPools.createdAt, networkPools.id)
    .limit(1);
  if (pool) return pool;
  for (const { year, month, mbit, ...plan } of PLANS)
    mustBeThere(
      await addPlan(deps, SEED, {
        ...plan,
        trafficGib: 20 * 1024,
        bandwidthMbit: mbit,
        diskIops: null,
        downgrade: "renewal",
        prices: [
          { interval: "month", amountMinor: month.toString(), currency: "usd" },
          { interval: "year", amountMinor: year.toString(), currency: "usd" },
        ],
      }),
    );
  for (const { on, memory, disk, ...image } of IMAGES)
    mustBeThere(
      await addImage(deps, SEED, {
        ...image,
        ...PLAIN_HARDWARE,
        hypervisors: [...on],
        minMemoryMib: memory,
        minDiskGib: disk,
        sha256: {},
        speaks: true,
      }),
    );
  const known = (await listLocations(deps.db)).find((l) => l.name === LOCATION);
  const location =
    known ??
    must(
      await addLocation(deps, SEED, {
        name: LOCATION,
        city: "Your machine",
        country: "DE",
        nameservers: ["198.18.0.1"],
      }),
    );
  must(await addPool(deps, SEED, { locationId: location.id, ...POOL, vlan: null }));
  return { locationId: location.id };
}

export const LOCAL_PASSWORD = "berth-on-this-machine";
export const LOCAL_PEOPLE = [
  { role: "customer", email: "ada@customer.example", name: "Ada Customer" },
  { role: "staff", email: "grace@staff.example", name: "Grace Staff" },
  { role: "integration", email: "billing@integration.example", name: "A billing system" },
] as const satisfies readonly { role: Role; email: string; name: string }[];

/** A token to enrol this host with: a new host's, or another one for a host whose agent was lost before it had enrolled. */
export async function joinTokenFor(deps: Deps, name: string, locationId: string): Promise<string> {
  const added = await addHost(deps, SEED, {
    name,
    locationId,
    testOnly: true,
    cpuOvercommit: 4,
    // On one's own machine whatever it has may be given away.
    ceiling: { vcpus: 2 ** 20, memoryMib: 2 ** 30, diskGib: 2 ** 30 },
  });
  if (added.ok) return added.value.joinToken;
  const [known] = await deps.db.select({ id: hosts.id }).from(hosts).where(eq(hosts.name, name));
  if (!known) throw new Error(`host ${name}: ${added.error.detail}`);
  return must(await issueJoinToken(deps, SEED, known.id)).joinToken;
}

/**
 * Makes one account of each role and an API token with all that its role may do. An account of an earlier seed, whose
 * token was not kept, gets a new one.
 */
export async function seedPeople(
  deps: Deps,
  logIns: LogIns,
): Promise<{ customer: string; staff: string; integration: string }> {
  const tokens = { customer: "", staff: "", integration: "" };
  for (const person of LOCAL_PEOPLE) {
    const made = await logIns.createAccount({ ...person, password: LOCAL_PASSWORD });
    const [known] = made.ok
      ? [{ id: made.value.accountId }]
      : await deps.db
          .select({ id: accounts.id })
          .from(accounts)
          .where(eq(accounts.email, person.email));
    if (!known) throw new Error(`there is no account of ${person.email}, and none can be made`);
    const scopes: readonly Scope[] = SCOPES_OF_ROLE[person.role];
    const token = await deps.accounts.createToken(
      {
        accountId: known.id,
        email: person.email,
        name: person.name,
        role: person.role,
        scopes,
        via: "session",
      },
      { name: "local", scopes, expiresInSeconds: null },
    );
    if (!token.ok) throw new Error(token.error.detail);
    tokens[person.role] = token.value.secret;
  }
  return tokens;
}
