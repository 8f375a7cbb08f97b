import pg from "pg";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import { ALL_CAPABILITIES, hostFacts } from "#test/builders.ts";
import type { Stack } from "./stack.ts";

/* The rows of a fleet, past the line: how they come to be is not what is measured. All of one location, as in its worst case. */

export type Size = Readonly<{ hosts: number; vms: number }>;
/** The stack's customer has so many VMs, at any size: more than two pages. */
const OF_THE_CUSTOMER = 40;
const VMS_OF_AN_ACCOUNT = 5;
export const VMS_OF_A_HOST = 50;
const MOST_IN_A_POOL = 2 ** 16 - 3;

/** The nth id of its sort: in their order, as UUIDv7 are. */
const idOf = (sort: number, n: string) =>
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

/** Four kinds of hosts, by turns. */
const KINDS: readonly Partial<HostFacts>[] = [
  { hypervisor: "kvm", hypervisorVersion: "QEMU 10.1" },
  { hypervisor: "hyperv", hypervisorVersion: "Windows Server 2025 10.0.26100" },
  { hypervisor: "kvm", hypervisorVersion: "QEMU 9.2", cpuThreads: 128 },
  { hypervisor: "hyperv", hypervisorVersion: "Windows Server 2022 10.0.20348" },
];
const FILES = ["debian-13", "freebsd-15", "windows-server-2025", "tiny"];

/** Adds what there is more of at `to` than at `from`, and looks at it as Postgres does by itself in time. */
export async function growTo(stack: Stack, from: Size, to: Size): Promise<void> {
  const client = new pg.Client({ connectionString: stack.ownerUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ location: string; account: string }>(
      `select l.id as location, (select id from accounts where role = 'customer' order by created_at limit 1) as account
       from locations l limit 1`,
    );
    const { location = "", account = "" } = rows[0] ?? {};
    await addHosts(client, location, from.hosts, to.hosts);
    // As many rows as this, without asking each for what it refers to: what is written here is whole.
    await client.query("set session_replication_role = replica");
    await endHolds(client);
    await addAddresses(client, location, from, to);
    await addVms(client, { location, account }, from.vms, to.vms);
    await client.query("set session_replication_role = origin");
    await client.query("vacuum (analyze)");
    // The seed took its time, and hosts that were silent so long get nothing.
    await hear(stack);
  } finally {
    await client.end();
  }
}

/** All hosts are heard of. */
export async function hear(stack: Stack): Promise<void> {
  const client = new pg.Client({ connectionString: stack.ownerUrl });
  await client.connect();
  try {
    await client.query("update hosts set last_seen_at = $1", [stack.clock.now()]);
    await client.query("vacuum (analyze) hosts");
  } finally {
    await client.end();
  }
}

/** What was ordered at the size before: nobody holds anything unpaid when a size begins. */
async function endHolds(client: pg.Client) {
  await client.query(
    `update reservations r set released_at = now() from orders o
     where o.id = r.order_id and o.state = 'awaiting_payment'`,
  );
  await client.query(
    `with ended as (
       delete from ip_leases l using orders o where o.vm_id = l.vm_id and o.state = 'awaiting_payment' returning l.pool_id, l.address)
     update ip_addresses a set busy_until = '-infinity' from ended e where a.pool_id = e.pool_id and a.address = e.address`,
  );
  await client.query("update orders set state = 'expired' where state = 'awaiting_payment'");
}

async function addHosts(client: pg.Client, location: string, from: number, to: number) {
  for (const [nth, kind] of KINDS.entries()) {
    const facts = hostFacts({ ...kind, capabilities: ALL_CAPABILITIES, memoryMib: 262_144 });
    await client.query(
      `insert into hosts (id, name, location_id, state, hypervisor, accelerator, facts, tells_images, public_key, created_at,
         capacity_vcpus, capacity_memory_mib, capacity_disk_gib, capacity_vms, allocated_vcpus, allocated_memory_mib,
         allocated_disk_gib, allocated_vms)
       select ${ID.host("n")}, 'bench-' || n, $1, 'active', $2, 'hardware', $3, true, 'key', now(), 512, 524288, 20480, 1024,
         ${VMS_OF_A_HOST}, ${VMS_OF_A_HOST} * 1024 + n * 7919 % 9 * 1024, ${VMS_OF_A_HOST} * 20, ${VMS_OF_A_HOST}
       from generate_series($4::int, $5::int - 1) n where n % ${KINDS.length} = $6`,
      [location, kind.hypervisor, JSON.stringify(facts), from, to, nth],
    );
  }
  await client.query(
    `insert into held_images (host_id, file, virtual_bytes, changed)
     select ${ID.host("n")}, file, 1000000000, false from generate_series($1::int, $2::int - 1) n, unnest($3::text[]) file`,
    [from, to, FILES],
  );
}

/** An address for each VM, and a fifth more that are free, in pools of the largest size. */
async function addAddresses(client: pg.Client, location: string, from: Size, to: Size) {
  const pools = (vms: number) => Math.ceil((vms * 1.2 + 1000) / MOST_IN_A_POOL);
  const begun = from.vms === 0 ? 0 : pools(from.vms);
  await client.query(
    `insert into network_pools (id, location_id, cidr, gateway, prefix, created_at)
     select ${ID.pool("p")}, $1, ('10.' || p || '.0.0/16')::cidr, ('10.' || p || '.0.1')::inet, 16, now()
     from generate_series($2::int, $3::int - 1) p`,
    [location, begun, pools(to.vms)],
  );
  await client.query(
    `insert into ip_addresses (pool_id, location_id, address)
     select ${ID.pool("p")}, $1, ('10.' || p || '.0.0')::inet + n
     from generate_series($2::int, $3::int - 1) p, generate_series(2, ${MOST_IN_A_POOL} + 1) n`,
    [location, begun, pools(to.vms)],
  );
}

const ADDRESS = `('10.' || n / ${MOST_IN_A_POOL} || '.0.0')::inet + (n % ${MOST_IN_A_POOL} + 2)`;

async function addVms(
  client: pg.Client,
  of: { location: string; account: string },
  from: number,
  to: number,
) {
  const range = `generate_series(${from}, ${to - 1}) n`;
  const owner = `case when n < ${OF_THE_CUSTOMER} then '${of.account}'::uuid
    else ${ID.account(`n / ${VMS_OF_AN_ACCOUNT}`)} end`;
  const statements = [
    `insert into accounts (id, email, name, role, email_verified, created_at, updated_at)
     select ${ID.account("n")}, 'bench-' || n || '@example.test', 'Bench', 'customer', true, now(), now()
     from generate_series(${Math.ceil(from / VMS_OF_AN_ACCOUNT)}, ${Math.ceil(to / VMS_OF_AN_ACCOUNT) - 1}) n`,
    `insert into orders (id, account_id, vm_id, state, plan_id, image_id, location_id, hostname, ssh_keys, billing_interval,
       total_minor, currency, checkout_id, expires_at, paid_at, created_at)
     select ${ID.order("n")}, ${owner}, ${ID.vm("n")}, 'active', p.id, i.id, '${of.location}', 'vm-' || n, '{}', 'month', 500, 'usd',
       'cs_' || n, now(), now(), now() - interval '60 days'
     from ${range}, (select id from plans where name = 'S') p, (select id from images where file = 'debian-13') i`,
    `insert into vms (id, account_id, order_id, host_id, plan_id, image_id, location_id, hostname, ssh_keys, created_at, presence,
       desired_power, stop_mode, vcpus, memory_mib, disk_gib, generation, owner_epoch, observed_power, observed_generation,
       guest_ready_at, deleted_at)
     select o.vm_id, o.account_id, o.id, ${ID.host(`n / ${VMS_OF_A_HOST}`)}, o.plan_id, o.image_id, o.location_id, o.hostname,
       o.ssh_keys, o.created_at, case when n % 5 = 4 then 'absent'::vm_presence else 'present' end, 'running', 'graceful', 1, 1024,
       20, 1, 1, 'running', 1, now(), case when n % 5 = 4 then now() end
     from ${range} join orders o on o.id = ${ID.order("n")}`,
    `insert into entitlements (vm_id, order_id, subscription_id, subscription_status, until, updated_at, vm_is_to_go)
     select ${ID.vm("n")}, ${ID.order("n")}, 'sub_' || n, case when n % 5 = 4 then 'canceled' else 'active' end,
       now() + interval '30 days', now(), n % 5 = 4 from ${range}`,
    `insert into reservations (id, order_id, host_id, vcpus, memory_mib, disk_gib, created_at, released_at)
     select ${ID.other("n")}, ${ID.order("n")}, ${ID.host(`n / ${VMS_OF_A_HOST}`)}, 1, 1024, 20, now(),
       case when n % 5 = 4 then now() end from ${range}`,
    `update ip_addresses a set busy_until = 'infinity' from ${range}
     where a.pool_id = ${ID.pool(`n / ${MOST_IN_A_POOL}`)} and a.address = ${ADDRESS}`,
    `insert into ip_leases (id, pool_id, address, vm_id, during, released_at)
     select ${ID.other("n")}, ${ID.pool(`n / ${MOST_IN_A_POOL}`)}, ${ADDRESS}, ${ID.vm("n")}, '[2026-01-01,)',
       case when n % 5 = 4 then now() end from ${range}`,
    `insert into invoices (id, account_id, order_id, provider_id, status, total_minor, paid_minor, currency, created_at)
     select ${ID.other("n")}, ${owner}, ${ID.order("n")}, 'in_' || n, 'paid', 500, 500, 'usd', now() - interval '60 days' from ${range}`,
    `insert into actions (id, vm_id, type, status, generation, started_at, finished_at)
     select ${ID.other("n")}, ${ID.vm("n")}, 'create', 'success', 1, now(), now() from ${range}`,
    `insert into idempotency_keys (account_id, key, request_hash, resource_id, response, created_at)
     select ${owner}, 'bench-' || n, 'hash', ${ID.order("n")}, '{}', now() from ${range}`,
    `insert into inbox (source, message_id, type, object_kind, object_id, body, received_at, applied_at)
     select 'stripe', 'evt_' || n, 'invoice.paid', 'invoice', 'in_' || n, '{}', now(), now() from ${range}`,
    `insert into outbox (id, name, data, created_at, sent_at)
     select ${ID.other("n")}, 'order.placed.v1', '{}', now(), now() from ${range}`,
    `insert into audit_log (id, at, actor_kind, actor_id, action, subject_kind, subject_id, detail)
     select ${ID.other("n")}, now(), 'system', 'bench', 'order.place', 'order', ${ID.order("n")}, '{}' from ${range}`,
    `insert into usage_hours (vm_id, hour, cpu_ns, rx_bytes, tx_bytes, read_bytes, write_bytes, measured_ms, samples, bounded)
     select ${ID.vm("n")}, date_trunc('hour', now()) - interval '1 hour' * h, 1, 1, 1, 1, 1, 3600000, 60, 0
     from ${range}, generate_series(1, 3) h`,
  ];
  for (const statement of statements) {
    const began = performance.now();
    await client.query(statement);
    if (process.env["BENCH_TELL"])
      console.error(Math.round(performance.now() - began), statement.slice(0, 40));
  }
}
