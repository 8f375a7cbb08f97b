import pg from "pg";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import { ALL_CAPABILITIES, hostFacts } from "#test/builders.ts";
import type { Fleet } from "./bench-fleet-database.ts";

/* The rows of a fleet, past the line: how they come to be is not what is measured. All of one location, as in its worst case. */

export type Size = Readonly<{ hosts: number; vms: number }>;
/** The stack's customer has so many VMs, at any size: more than two pages. */
const OF_THE_CUSTOMER = 40;
const VMS_OF_AN_ACCOUNT = 5;
export const VMS_OF_A_HOST = 50;
const MOST_IN_A_POOL = 2 ** 16 - 3;

/** The nth id of its sort: in their order, as UUIDv7 are. */
export const idOf = (sort: number, n: string): string =>
  `('018f${String(sort).padStart(4, "0")}-0000-7000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`;
const ID = {
  account: (n: string) => idOf(1, n),
  host: (n: string) => idOf(2, n),
  order: (n: string) => idOf(3, n),
  vm: (n: string) => idOf(4, n),
  pool: (n: string) => idOf(5, n),
  other: (n: string) => idOf(6, n),
};

/** By its place among the accounts that have paid; at the smallest size there are twelve. */
export const payerId = (n: number): string => idText(1, OF_THE_CUSTOMER / VMS_OF_AN_ACCOUNT + n);
export const vmId = (n: number): string => idText(4, n);
export const hostId = (n: number): string => idText(2, n);
const idText = (sort: number, n: number) =>
  `018f${String(sort).padStart(4, "0")}-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;

/** By turns: as many kinds of hosts with two of them as with all. */
const KINDS: readonly Partial<HostFacts>[] = [
  { hypervisor: "kvm", hypervisorVersion: "QEMU 10.1" },
  { hypervisor: "hyperv", hypervisorVersion: "Windows Server 2025 10.0.26100" },
];
const FILES = ["debian-13", "freebsd-15", "windows-server-2025", "tiny"];

/** Fills a database that holds a catalogue and nothing else, and looks at it as Postgres does by itself in time. */
export const fill = (fleet: Fleet, { hosts, vms }: Size): Promise<void> =>
  asOwner(fleet, async (client) => {
    await addHosts(client, fleet, hosts);
    // As many rows as this, without asking each for what it refers to: what is written here is whole.
    await client.query("set session_replication_role = replica");
    await addAddresses(client, fleet, vms);
    await addVms(client, fleet, vms);
    await client.query("vacuum (analyze)");
    // So that what is written later is not what is measured.
    await client.query("checkpoint");
  });

/** All hosts are heard of: those that are silent for some minutes get nothing. */
export const hear = (fleet: Fleet): Promise<void> =>
  asOwner(fleet, async (client) => {
    await client.query("update hosts set last_seen_at = $1", [fleet.deps.clock.now()]);
    await client.query("vacuum (analyze) hosts");
  });

export async function asOwner<T>(
  fleet: Pick<Fleet, "ownerUrl">,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: fleet.ownerUrl });
  // Whoever stops the benchmark stops the database first.
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function addHosts(client: pg.Client, { locationId }: Fleet, hosts: number) {
  for (const [nth, kind] of KINDS.entries()) {
    const facts = hostFacts({ ...kind, capabilities: ALL_CAPABILITIES, memoryMib: 262_144 });
    await client.query(
      `insert into hosts (id, name, location_id, state, hypervisor, accelerator, facts, tells_images, public_key, created_at,
         capacity_vcpus, capacity_memory_mib, capacity_disk_gib, capacity_vms, allocated_vcpus, allocated_memory_mib,
         allocated_disk_gib, allocated_vms)
       select ${ID.host("n")}, 'bench-' || n, $1, 'active', $2, 'hardware', $3, true, 'key', now(), 512, 524288, 20480, 1024,
         ${VMS_OF_A_HOST}, ${VMS_OF_A_HOST} * 1024 + n * 7919 % 9 * 1024, ${VMS_OF_A_HOST} * 20, ${VMS_OF_A_HOST}
       from generate_series(0, $4::int - 1) n where n % ${KINDS.length} = $5`,
      [locationId, kind.hypervisor, JSON.stringify(facts), hosts, nth],
    );
  }
  await client.query(
    `insert into held_images (host_id, file, virtual_bytes, changed)
     select ${ID.host("n")}, file, 1000000000, false from generate_series(0, $1::int - 1) n, unnest($2::text[]) file`,
    [hosts, FILES],
  );
}

/** An address for each VM, and a fifth more that are free, in pools of the largest size. */
async function addAddresses(client: pg.Client, { locationId }: Fleet, vms: number) {
  const pools = Math.ceil((vms * 1.2 + 1000) / MOST_IN_A_POOL);
  await client.query(
    `insert into network_pools (id, location_id, cidr, gateway, prefix, created_at)
     select ${ID.pool("p")}, $1, ('10.' || p || '.0.0/16')::cidr, ('10.' || p || '.0.1')::inet, 16, now()
     from generate_series(0, $2::int - 1) p`,
    [locationId, pools],
  );
  await client.query(
    `insert into ip_addresses (pool_id, location_id, address, busy_until)
     select ${ID.pool("p")}, $1, ('10.' || p || '.0.0')::inet + n,
       case when p * ${MOST_IN_A_POOL} + n - 2 < $3::int then 'infinity'::timestamptz else '-infinity' end
     from generate_series(0, $2::int - 1) p, generate_series(2, ${MOST_IN_A_POOL} + 1) n`,
    [locationId, pools, vms],
  );
}

const ADDRESS = `('10.' || n / ${MOST_IN_A_POOL} || '.0.0')::inet + (n % ${MOST_IN_A_POOL} + 2)`;

async function addVms(
  client: pg.Client,
  { locationId, customerId }: Fleet,
  vms: number,
): Promise<void> {
  const range = `generate_series(0, ${vms - 1}) n`;
  const owner = `case when n < ${OF_THE_CUSTOMER} then '${customerId}'::uuid
    else ${ID.account(`n / ${VMS_OF_AN_ACCOUNT}`)} end`;
  const statements = [
    `insert into accounts (id, email, name, role, email_verified, created_at, updated_at)
     select ${ID.account("n")}, 'bench-' || n || '@example.test', 'Bench', 'customer', true, now(), now()
     from generate_series(0, ${vms / VMS_OF_AN_ACCOUNT - 1}) n`,
    `insert into orders (id, account_id, vm_id, state, plan_id, plan_version, image_id, location_id, hostname, ssh_keys,
       billing_interval, total_minor, currency, checkout_id, expires_at, paid_at, created_at)
     select ${ID.order("n")}, ${owner}, ${ID.vm("n")}, 'active', p.id, 1, i.id, '${locationId}', 'vm-' || n, '{}', 'month', 500, 'usd',
       'cs_' || n, now(), now(), now() - interval '60 days'
     from ${range}, (select id from plans where name = 'S') p, (select id from images where file = 'debian-13') i`,
    `insert into services (vm_id, plan_id, plan_version, payer, interval, amount_minor, currency, subscription_id,
       subscription_status, entitled_until, updated_at, vm_is_to_go)
     select o.vm_id, o.plan_id, 1, 'stripe', 'month', 500, 'usd', 'sub_' || n,
       case when n % 5 = 4 then 'canceled' else 'active' end, now() + interval '30 days', now(), n % 5 = 4
     from ${range} join orders o on o.id = ${ID.order("n")}`,
    `insert into vms (id, account_id, host_id, image_id, location_id, hostname, ssh_keys, created_at, presence,
       desired_power, stop_mode, vcpus, memory_mib, disk_gib, generation, owner_epoch, observed_power, observed_generation,
       guest_ready_at, deleted_at)
     select o.vm_id, o.account_id, ${ID.host(`n / ${VMS_OF_A_HOST}`)}, o.image_id, o.location_id, o.hostname,
       o.ssh_keys, o.created_at, case when n % 5 = 4 then 'absent'::vm_presence else 'present' end, 'running', 'graceful', 1, 1024,
       20, 1, 1, 'running', 1, now(), case when n % 5 = 4 then now() end
     from ${range} join orders o on o.id = ${ID.order("n")}`,
    `insert into reservations (id, vm_id, host_id, vcpus, memory_mib, disk_gib, created_at, released_at)
     select ${ID.other("n")}, ${ID.vm("n")}, ${ID.host(`n / ${VMS_OF_A_HOST}`)}, 1, 1024, 20, now(),
       case when n % 5 = 4 then now() end from ${range}`,
    // Of one VM in ten: the exclusion constraint takes minutes for a million, and nothing that is measured goes through it.
    `insert into ip_leases (id, pool_id, address, vm_id, during, released_at)
     select ${ID.other("n")}, ${ID.pool(`n / ${MOST_IN_A_POOL}`)}, ${ADDRESS}, ${ID.vm("n")}, '[2026-01-01,)',
       case when n % 5 = 4 then now() end from ${range} where n < ${OF_THE_CUSTOMER} or n % 10 = 0`,
    `insert into invoices (id, account_id, order_id, provider_id, status, total_minor, paid_minor, currency, created_at)
     select ${ID.other("n")}, ${owner}, ${ID.order("n")}, 'in_' || n, 'paid', 500, 500, 'usd', now() - interval '60 days' from ${range}`,
    `insert into actions (id, vm_id, type, status, generation, started_at, finished_at)
     select ${ID.other("n")}, ${ID.vm("n")}, 'create', 'success', 1, now(), now() from ${range}`,
    `insert into idempotency_keys (account_id, key, request_hash, resource_id, response, created_at)
     select ${owner}, 'bench-' || n, 'hash', ${ID.order("n")}, '{}', now() from ${range}`,
    `insert into inbox (source, message_id, type, object_kind, object_id, body, received_at, applied_at)
     select 'stripe', 'evt_' || n, 'invoice.paid', 'invoice', 'in_' || n, '{}', now(), now() from ${range}`,
    `insert into outbox (id, name, data, created_at, sent_at)
     select ${ID.other("n")}, 'order.placed.v1', '{}', at, at from ${range},
       lateral (select now() - interval '1 hour' as at) sent`,
    `insert into audit_log (id, at, actor_kind, actor_id, action, subject_kind, subject_id, detail)
     select ${ID.other("n")}, now(), 'system', 'bench', 'order.place', 'order', ${ID.order("n")}, '{}' from ${range}`,
    `insert into usage_hours (vm_id, hour, cpu_ns, rx_bytes, tx_bytes, read_bytes, write_bytes, measured_ms, samples, bounded)
     select ${ID.vm("n")}, date_trunc('hour', now()) - interval '1 hour' * h, 1, 1, 1, 1, 1, 3600000, 60, 0
     from ${range}, generate_series(1, 3) h`,
  ];
  for (const statement of statements) await client.query(statement);
}
