import { randomBytes } from "node:crypto";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { ORDER_STATES } from "#core/orders/order.ts";
import { listPlans } from "#db/catalogue/catalogue.ts";
import { loadOrder } from "#db/orders/orders.ts";
import { loadVmView } from "#db/vms/vms.ts";
import { migrateDatabase } from "#db/migrate.ts";
import { toOrderView } from "#functions/views.ts";
import { migrateUpTo } from "#test/harness/database-at.ts";
import { runSql } from "#test/harness/database.ts";

/* 6a 1: migrations keep every row of a database that was in use, and each says what it said. */

const name = `t_${randomBytes(6).toString("hex")}`;
const url = new URL(inject("postgresUrl"));
url.pathname = `/${name}`;
let pool: pg.Pool;
type Rows = Record<string, Record<string, unknown>[]>;
let before: Rows;
let after: Rows;

beforeAll(async () => {
  await runSql(inject("postgresUrl"), `create database ${name}`);
  await migrateUpTo(url.href, "0037_staff_roles");
  pool = new pg.Pool({ connectionString: url.href });
  await pool.query(inUse());
  before = await everyRow();
  await migrateDatabase(url.href);
  after = await everyRow();
});
afterAll(async () => {
  await pool.end();
  await runSql(inject("postgresUrl"), `drop database ${name} with (force)`);
});

/** An id of some kind of row, and its number. */
const id = (kind: number, n: number) =>
  `00000000-0000-7000-8000-${String(kind * 1000 + n).padStart(12, "0")}`;
const [ACCOUNT, PLACE, HOST, IMAGE] = [id(1, 0), id(2, 0), id(3, 0), id(4, 0)];
const [SMALL, LARGE] = [id(5, 1), id(5, 2)];

/** An order of each state; and what came of it, in all the ways that something did. */
const SOLD = ORDER_STATES.map((state, n) => ({
  n,
  order: id(6, n),
  vm: id(7, n),
  state,
  plan: n % 2 === 0 ? SMALL : LARGE,
  interval: n % 2 === 0 ? "month" : "year",
  minor: 500 + n,
  currency: n % 3 === 0 ? "eur" : "usd",
  wasPaid: state !== "awaiting_payment" && state !== "expired",
  isGone: state === "completed" || state === "refunded",
}));
const MADE = "2026-01-02T03:04:05.678Z";

const inUse = () => `
  insert into accounts (id, email, name, role, email_verified, created_at, updated_at)
    values ('${ACCOUNT}', 'a@example.test', 'a', 'customer', true, '${MADE}', '${MADE}');
  insert into locations (id, name, city, country, nameservers, created_at)
    values ('${PLACE}', 'here', 'Here', 'DE', '{192.0.2.53}', '${MADE}');
  insert into hosts (id, name, location_id, created_at) values ('${HOST}', 'h', '${PLACE}', '${MADE}');
  insert into images (id, name, os, file, hypervisors, min_memory_mib, min_disk_gib, created_at)
    values ('${IMAGE}', 'i', 'linux', 'i', '{kvm}', 1, 1, '${MADE}');
  insert into plans (id, name, vcpus, memory_mib, disk_gib, traffic_gib, bandwidth_mbit, disk_iops, available, created_at) values
    ('${SMALL}', 'S', 1, 1024, 20, 1000, null, null, true, '${MADE}'),
    ('${LARGE}', 'L', 4, 8192, 80, 0, 300, 700, false, '${MADE}');
  insert into plan_prices (id, plan_id, "interval", amount_minor, currency, stripe_price_id, created_at) values
    ('${id(8, 1)}', '${SMALL}', 'month', 900, 'usd', 'price_1', '${MADE}'),
    ('${id(8, 2)}', '${SMALL}', 'year', 9000, 'eur', null, '${MADE}'),
    ('${id(8, 3)}', '${LARGE}', 'month', 4000, 'usd', null, '${MADE}');
  ${SOLD.map(sold).join("\n")}
`;

const sold = (s: (typeof SOLD)[number]) => `
  insert into orders (id, account_id, vm_id, state, plan_id, image_id, location_id, hostname, ssh_keys, billing_interval,
      total_minor, currency, expires_at, paid_at, created_at)
    values ('${s.order}', '${ACCOUNT}', '${s.vm}', '${s.state}', '${s.plan}', '${IMAGE}', '${PLACE}', 'vm-${s.n}', '{}',
      '${s.interval}', ${s.minor}, '${s.currency}', '${MADE}', ${s.wasPaid ? `'${MADE}'` : "null"}, '${MADE}');
  insert into idempotency_keys (account_id, key, request_hash, resource_id, response, created_at)
    values ('${ACCOUNT}', 'key-${s.n}', 'hash', '${s.order}', ${s.n === 0 ? "null" : `'${answered(s.n)}'`}, '${MADE}');
  insert into reservations (id, order_id, host_id, vcpus, memory_mib, disk_gib, created_at, released_at) values
    ('${id(9, s.n)}', '${s.order}', '${HOST}', 1, 1, 1, '${MADE}', '${MADE}'),
    ('${id(10, s.n)}', '${s.order}', '${HOST}', 1, 1, 1, '${MADE}', ${s.isGone ? `'${MADE}'` : "null"});
  ${s.wasPaid ? made(s) : ""}
`;

/** What was kept for a repeat, as it was written then. */
const answered = (n: number) =>
  JSON.stringify({
    checkoutUrl: `https://pay.test/${n}`,
    again: false,
    order: { id: "any", planId: "any" },
  });

const made = (s: (typeof SOLD)[number]) => `
  insert into vms (id, account_id, order_id, host_id, plan_id, image_id, location_id, hostname, ssh_keys, created_at, presence,
      desired_power, stop_mode, vcpus, memory_mib, disk_gib, generation, owner_epoch, deleted_at)
    values ('${s.vm}', '${ACCOUNT}', '${s.order}', '${HOST}', '${s.plan}', '${IMAGE}', '${PLACE}', 'vm-${s.n}', '{}', '${MADE}',
      '${s.isGone ? "absent" : "present"}', 'running', 'graceful', 2, 2048, 33, 5, 3, ${s.isGone ? `'${MADE}'` : "null"});
  ${s.state === "refunding" ? "" : entitled(s)}
`;
const entitled = (s: (typeof SOLD)[number]) => `
  insert into entitlements (vm_id, order_id, subscription_id, subscription_status, subscription_version, until, frozen_at,
      freeze_unsure, tried_at, updated_at)
    values ('${s.vm}', '${s.order}', 'sub_${s.n}', '${s.isGone ? "canceled" : "active"}', 'v${s.n}', '2026-03-0${s.n + 1}',
      ${s.state === "active" ? `'${MADE}'` : "null"}, ${s.state === "active"}, null, '${MADE}');
`;

/** All tables, each with its rows. */
async function everyRow(): Promise<Rows> {
  const { rows } = await pool.query<{ name: string }>(
    "select tablename as name from pg_tables where schemaname = 'public' order by 1",
  );
  const tables = rows.map(async ({ name: table }) => {
    const all = await pool.query<{ row: Record<string, unknown> }>(
      `select to_jsonb(t) as row from ${table} t order by 1`,
    );
    return [table, all.rows.map(({ row }) => row)] as const;
  });
  return Object.fromEntries(await Promise.all(tables));
}
const one = async (query: string, of: string) =>
  (await pool.query<Record<string, unknown>>(query, [of])).rows;

test("no row of any table is lost, and every column that stays says what it said", () => {
  const kept = Object.keys(before).filter((table) => table in after);
  expect(Object.keys(before).filter((table) => !kept.includes(table))).toEqual(["entitlements"]);
  const MOVED: Record<string, readonly string[]> = {
    plans: ["vcpus", "memory_mib", "disk_gib", "traffic_gib", "bandwidth_mbit", "disk_iops"],
    vms: ["order_id", "plan_id"],
    reservations: ["order_id"],
    idempotency_keys: ["response"],
  };
  for (const table of kept) {
    const stays = (before[table] ?? []).map((row) =>
      Object.fromEntries(Object.entries(row).filter(([column]) => !MOVED[table]?.includes(column))),
    );
    expect([table, after[table]]).toMatchObject([table, stays]);
    expect(after[table]).toHaveLength(stays.length);
  }
});

test("what each plan was is its first version, on sale as it was", async () => {
  expect(after["plan_versions"]).toMatchObject([
    {
      plan_id: SMALL,
      version: 1,
      vcpus: 1,
      traffic_gib: 1000,
      bandwidth_mbit: null,
      disk_iops: null,
    },
    {
      plan_id: LARGE,
      version: 1,
      memory_mib: 8192,
      disk_gib: 80,
      bandwidth_mbit: 300,
      disk_iops: 700,
    },
  ]);
  expect(await listPlans(drizzle(pool))).toMatchObject([
    {
      id: SMALL,
      version: 1,
      prices: [
        {
          interval: "year",
          amount: { minor: 9000n, currency: "eur" },
          taxBehavior: null,
          stripePriceId: null,
        },
        { interval: "month", amount: { minor: 900n, currency: "usd" }, stripePriceId: "price_1" },
      ],
    },
  ]);
});

const servicesOf = (vm: string) => one("select * from services where vm_id = $1", vm);
const PAID = SOLD.filter(({ wasPaid }) => wasPaid);
const UNPAID = SOLD.filter(({ wasPaid }) => !wasPaid);

test.each(SOLD)(
  "an order that is $state is of its plan's first version, at its price",
  async (s) => {
    const order = await loadOrder(drizzle(pool), s.order);
    expect(order && toOrderView(order)).toMatchObject({
      state: s.state,
      planVersion: 1,
      total: { minor: String(s.minor), currency: s.currency },
    });
    expect(await one("select * from reservations where vm_id = $1", s.vm)).toHaveLength(2);
  },
);

test.each(UNPAID)("nothing was bought by one that is $state", async (s) => {
  expect(await servicesOf(s.vm)).toEqual([]);
});

test.each(PAID)("what was bought by one that is $state stays", async (s) => {
  // One that somebody undid by hand: it had no right to run, and so it has none now.
  const hadNone = s.state === "refunding";
  expect(await servicesOf(s.vm)).toMatchObject([
    {
      plan_id: s.plan,
      plan_version: 1,
      payer: "stripe",
      interval: s.interval,
      amount_minor: String(s.minor),
      currency: s.currency,
      subscription_id: hadNone ? null : `sub_${s.n}`,
      subscription_version: hadNone ? null : `v${s.n}`,
      entitled_until: new Date(hadNone ? MADE : `2026-03-0${s.n + 1}T00:00:00Z`),
      vm_is_to_go: s.isGone,
      frozen_at: s.state === "active" ? new Date(MADE) : null,
      freeze_unsure: s.state === "active",
    },
  ]);
  const view = await loadVmView(drizzle(pool), s.vm);
  expect(view).toMatchObject({
    orderId: s.order,
    vm: {
      memoryMib: 2048,
      generation: 5,
      ...(s.plan === LARGE
        ? { bandwidthMbit: 300, diskIops: 700 }
        : { bandwidthMbit: null, diskIops: null }),
    },
    bought: { planId: s.plan, planVersion: 1 },
  });
});

test("an answer that was kept is one that today's API gives", async () => {
  const kept = await one(
    "select response from idempotency_keys where account_id = $1 order by key",
    ACCOUNT,
  );
  const responses = kept.map(({ response }) => response);
  expect(responses[0]).toBeNull();
  for (const response of responses.slice(1))
    expect(response).toMatchObject({ order: { planVersion: 1, planId: "any" } });
});
