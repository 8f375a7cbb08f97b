import { drizzle } from "drizzle-orm/node-postgres";
import type { PoolClient } from "pg";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { listAccounts } from "#db/accounts/list-accounts.ts";
import { listAudit } from "#db/accounts/audit.ts";
import type { Db } from "#db/client.ts";
import { listFindings } from "#db/hosts/findings.ts";
import { listHosts } from "#db/hosts/hosts.ts";
import type { Keyset, KeysetPage } from "#db/keyset.ts";
import { listMails } from "#db/messages/mails.ts";
import { listMoves } from "#db/moves/list-moves.ts";
import { listOrders } from "#db/orders/list-orders.ts";
import type { ReadPage } from "#db/read-places.ts";
import { listActions } from "#db/vms/actions.ts";
import { listStaffVmViews } from "#db/vms/vms.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aProvisionedVm, aWorld } from "#test/harness/world.ts";

/* 6a, "It must show": lists of staff read as many rows at a million VMs as at a thousand. */

const ROWS = 1500;
const MOST = 40;
/** Of a page of five: what each of four filters leaves is counted, and then they are looked through twice, each in two parts. */
const MOST_READ = 10 * MOST;

/**
 * So few rows lie in so few pages that to read them all costs what it costs to find some, and Postgres would take either: where an
 * index serves it takes nothing else here, and what a plan costs is how many rows it reads.
 */
const AS_OF_MANY_ROWS = [
  "enable_seqscan = off",
  "enable_bitmapscan = off",
  "cpu_tuple_cost = 1",
  "cpu_index_tuple_cost = 1",
];

let cp: ControlPlane;
let db: Db;
/** Plans as it would for a million VMs. */
let explaining: PoolClient;
const asked: (readonly [string, readonly unknown[]])[] = [];
const of = { account: "", other: v7(), host: "", location: "", elsewhere: v7(), plan: "", vm: "" };

/** The nth of its sort, in their order. */
const nth = (sort: number, n: string) =>
  `('018f000${sort}-0000-7000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`;
const id = (sort: number, n: number) =>
  `018f000${sort}-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;

/** Of each table many rows, a value's all in one place: what a list's order meets last is what it is asked for. */
beforeAll(async () => {
  cp = await startControlPlane();
  const logger = { logQuery: (text: string, values: unknown[]) => void asked.push([text, values]) };
  db = drizzle(cp.database.pool, { logger });
  const world = await aWorld(cp, { places: 10 });
  const { vmId, orderId } = await aProvisionedVm(cp, world);
  of.account = world.buyer.accountId;
  of.host = world.hostId;
  of.location = world.locationId;
  of.plan = world.planId;
  of.vm = vmId;
  const all = `generate_series(1, ${ROWS}) n`;
  const like = async (table: string, row: string, changed: Readonly<Record<string, string>>) => {
    const columns = z
      .array(z.object({ name: z.string() }))
      .parse(
        await cp.rows(
          `select column_name as name from information_schema.columns
           where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'`,
          table,
        ),
      )
      .map(({ name }) => name);
    const values = columns.map((name) => changed[name] ?? `t.${name}`);
    await cp.rows(
      `insert into ${table} (${columns.join(", ")}) select ${values.join(", ")} from ${all}, ${table} t where t.id = $1`,
      row,
    );
  };
  await cp.rows(
    `insert into locations (id, name, city, country, nameservers, created_at)
     values ($1, 'elsewhere', 'Elsewhere', 'DE', '{}', now())`,
    of.elsewhere,
  );
  await like("accounts", of.account, {
    id: nth(1, "n"),
    email: `case when n < 750 then 'acme-' else 'other-' end || n || '@example.test'`,
    role: `(case when n < 500 then 'integration' else 'customer' end)::account_role`,
    banned_at: "case when n > 900 then now() end",
  });
  of.other = id(1, 7);
  await like("hosts", of.host, {
    id: nth(2, "n"),
    name: "'host-' || n",
    state: `(case when n < 700 then 'retired' else 'active' end)::host_state`,
    host_group: "case when n > 600 then 'old' end",
    location_id: `case when n < 800 then '${of.elsewhere}' else t.location_id end`,
  });
  await cp.rows(
    `insert into services (vm_id, plan_id, plan_version, payer, interval, amount_minor, currency, entitled_until, updated_at)
     select ${nth(3, "n")}, s.plan_id, s.plan_version, 'staff', s.interval, s.amount_minor, s.currency, s.entitled_until, s.updated_at
     from ${all}, services s where s.vm_id = $1`,
    vmId,
  );
  await like("vms", vmId, {
    id: nth(3, "n"),
    hostname: `case when n < 750 then 'a-' else 'b-' end || n`,
    account_id: `case when n < 400 then '${of.other}' else t.account_id end`,
    location_id: `case when n between 300 and 900 then '${of.elsewhere}' else t.location_id end`,
    presence: "'absent'::vm_presence",
    deleted_at: "case when n < 700 then now() end",
    lost_at: "case when n > 1200 then now() end",
    observed_generation: "0",
  });
  await like("orders", orderId, {
    id: nth(4, "n"),
    vm_id: nth(3, "n"),
    checkout_id: "'cs_' || n",
    account_id: `case when n < 400 then '${of.other}' else t.account_id end`,
    state: `(case when n < 800 then 'completed' else 'active' end)::order_state`,
  });
  await cp.rows(
    `insert into actions (id, vm_id, type, status, generation, started_at, finished_at, error_code)
     select ${nth(5, "n")}, case when n < 700 then $1::uuid else ${nth(3, "n")} end,
       (case when n < 800 then 'create' else 'reboot' end)::action_type,
       (case when n > 600 then 'error' else 'success' end)::action_status, 1, now(), now(),
       (case when n > 600 then 'timed_out' end)::action_error_code from ${all}`,
    vmId,
  );
  await cp.rows(
    `insert into audit_log (id, at, actor_kind, actor_id, action, subject_kind, subject_id, detail)
     select ${nth(6, "n")}, '2026-01-01'::timestamptz + interval '1 minute' * n, 'system',
       case when n < 800 then 'sweep' else 'other' end, 'vm.test', 'vm', case when n > 700 then $1::uuid else ${nth(3, "n")} end, '{}'
     from ${all}`,
    vmId,
  );
  await cp.rows(
    `insert into mails (id, kind, cause, about, state, account_id, created_at, next_try_at, ended_at)
     select ${nth(9, "n")}, (case when n < 800 then 'vm_ready' else 'maintenance' end)::mail_kind, n, n,
       (case when n < 300 then 'waiting' else 'dropped' end)::mail_state, case when n > 500 then $1::uuid end, now(),
       case when n < 300 then now() end, case when n >= 300 then now() end from ${all}`,
    of.account,
  );
  await cp.rows(
    `insert into findings (id, kind, host_id, subject, vm_id, first_seen_at, last_seen_at, ended_at, detail)
     select ${nth(7, "n")}, case when n < 800 then 'vm_lost' else 'clock_off' end, case when n > 600 then $1::uuid else ${nth(2, "n")} end,
       'of ' || n, case when n < 700 then $2::uuid end, now(), now(), case when n < 900 then now() end, '' from ${all}`,
    of.host,
    vmId,
  );
  // Those that are open are the oldest; each is between two hosts.
  await cp.rows(
    `insert into moves (id, vm_id, action_id, source_host_id, destination_host_id, method, step, outcome, source_epoch, epoch,
       generation, sealed_key, address, port, format, created_at, step_at, heard_at, released_at, ended_at)
     select ${nth(8, "n")}, case when n between 101 and 700 then $1::uuid else ${nth(3, "n")} end, ${nth(5, "n")},
       case when n < 500 then $2::uuid else ${nth(2, "n")} end,
       case when n between 600 and 1100 then $2::uuid else ${nth(2, "n - 1")} end, 'cold',
       (case when n <= 100 then 'prepare' else 'ended' end)::move_step, (case when n > 100 then 'moved' end)::move_outcome, n, n + 1,
       case when n > 100 then 1 end, case when n <= 100 then 'sealed' end, '192.0.2.1', 1, 'qcow2', now(), now(), now(),
       case when n > 100 then now() end, case when n > 100 then now() end from generate_series(2, ${ROWS}) n`,
    vmId,
    of.host,
  );
  await cp.database.asOwner("vacuum analyze");
  explaining = await cp.database.pool.connect();
  for (const setting of AS_OF_MANY_ROWS) await explaining.query(`set ${setting}`);
});
afterAll(async () => {
  explaining.release();
  await cp.drop();
});

type Read = Readonly<{
  what: object;
  read: (page: KeysetPage) => Promise<ReadPage<object>>;
  /** It is read by so many indexes, each to its end; one unless given. */
  ways?: number;
}>;
const LISTS: Readonly<Record<string, () => readonly Read[]>> = {
  accounts: () =>
    combined({
      role: [null, "customer", "integration"] as const,
      email: [null, "acme-", "acme-7"],
      closed: [null, true, false],
      sort: orders("createdAt", "email"),
    }).map((what) => ({ what, read: (page) => listAccounts(db, what, what.sort, page) })),
  VMs: () =>
    combined({
      accountId: [null, of.account, of.other],
      hostId: [null, of.host],
      locationId: [null, of.elsewhere],
      planId: [null, of.plan, v7()],
      presence: ["here", "lost", "gone", "any"] as const,
      sort: [
        { by: "createdAt", down: true },
        { by: "hostname", down: false },
      ] as const,
    }).map((what) => ({ what, read: (page) => listStaffVmViews(db, what, what.sort, page) })),
  orders: () =>
    combined({
      accountId: [null, of.account, of.other],
      state: [null, "active", "completed", "refunding"] as const,
      down: [true, false],
    }).map((what) => ({ what, read: (page) => listOrders(db, what, what.down, page) })),
  actions: () =>
    combined({
      vmId: [null, of.vm],
      status: [null, "success", "error", "running"] as const,
      type: [null, "create", "reboot", "resize"] as const,
      down: [true, false],
    }).map((what) => ({ what, read: (page) => listActions(db, what, what.down, page) })),
  hosts: () =>
    combined({
      locationId: [null, of.location, of.elsewhere],
      state: [null, "active", "retired", "draining"] as const,
      group: [null, "old", "none"],
      sort: orders("createdAt", "name"),
    }).map((what) => ({ what, read: (page) => listHosts(db, what, what.sort, page) })),
  audit: () =>
    combined({
      subject: [null, of.vm, id(3, 1)],
      actor: [null, "sweep", "other"],
      from: [null, new Date("2026-01-01T20:00:00Z")],
      to: [null, new Date("2026-01-01T14:00:00Z")],
    }).map((what) => ({ what, read: (page) => listAudit(db, what, page) })),
  mails: () =>
    combined({
      accountId: [null, of.account, of.other],
      kind: [null, "vm_ready", "maintenance"] as const,
      state: [null, "dropped", "waiting", "given_up"] as const,
    }).map((what) => ({ what, read: (page) => listMails(db, what, page) })),
  moves: () =>
    combined({
      vmId: [null, of.vm],
      hostId: [null, of.host],
      state: [null, "open", "ended"] as const,
    }).map((what) => ({
      what,
      read: (page) => listMoves(db, what, page),
      // A host is an end of a move in either of two columns.
      ways: what.hostId === null ? 1 : 2,
    })),
  findings: () =>
    combined({
      state: [null, "open", "ended"] as const,
      hostId: [null, of.host],
      vmId: [null, of.vm],
      kind: [null, "vm_lost", "clock_off"],
    }).map((what) => ({ what, read: (page) => listFindings(db, what, page) })),
};

const orders = <A extends string, B extends string>(a: A, b: B) =>
  ([a, b] as const).flatMap((by) => [true, false].map((down) => ({ by, down })));

/** Each value with each of the others. */
const combined = <V extends object>(values: {
  readonly [K in keyof V]: readonly V[K][];
}): readonly V[] =>
  Object.entries<readonly unknown[]>(values).reduce<readonly V[]>(
    (some, [key, each]) => some.flatMap((row) => each.map((one) => ({ ...row, [key]: one }))),
    [Object.create(null)],
  );

/** How Postgres carried a statement out. */
const Plan: z.ZodType<Plan> = z.looseObject({
  "Node Type": z.string(),
  "Relation Name": z.string().optional(),
  "Actual Rows": z.number(),
  "Actual Loops": z.number(),
  "Rows Removed by Filter": z.number().optional(),
  get Plans() {
    return z.array(Plan).optional();
  },
});
type Plan = {
  "Node Type": string;
  "Relation Name"?: string | undefined;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number | undefined;
  Plans?: Plan[] | undefined;
};

const Explained = z.tuple([z.object({ Plan })]);

/** How many rows of a table were read for a statement: those that it threw away too. */
const readBy = (plan: Plan): number =>
  (plan["Relation Name"] === undefined
    ? 0
    : plan["Actual Loops"] * (plan["Actual Rows"] + (plan["Rows Removed by Filter"] ?? 0))) +
  (plan.Plans ?? []).reduce((sum, child) => sum + readBy(child), 0);

/** All that a list's statements that find places read; the rows of a page are read by their ids. */
async function rowsRead(
  { read }: Read,
  page: KeysetPage,
): Promise<{ read: number; last: Keyset | null }> {
  asked.length = 0;
  const { rows, end } = await read(page);
  const places = asked.filter(([text]) => !text.includes(" in ($"));
  let sum = 0;
  for (const [text, values] of places) {
    const explained = await explaining.query<{ "QUERY PLAN": unknown }>(
      `explain (analyze, timing off, format json) ${text}`,
      [...values],
    );
    const [top] = Explained.parse(explained.rows[0]?.["QUERY PLAN"]);
    sum += readBy(top.Plan);
  }
  const last = rows.at(-1);
  return { read: sum, last: last === undefined ? end : placeOf(last) };
}

const Named = z
  .object({ email: z.string(), hostname: z.string(), name: z.string(), at: z.date() })
  .partial();
/** Its key is that of the list's order, if it goes by one. */
const placeOf = (row: object): Keyset => {
  const shown = "vm" in row && !("action" in row) ? row.vm : "move" in row ? row.move : row;
  const named = Named.parse(shown);
  const key = named.email ?? named.hostname ?? named.name ?? named.at?.toISOString() ?? "";
  return { key, id: idOf(row) };
};

const Identified = z
  .union([z.object({ id: z.string() }), z.object({ vm: z.object({ id: z.string() }) })])
  .transform((one) => ("id" in one ? one.id : one.vm.id));
const idOf = (row: object): string =>
  Identified.parse("vm" in row && "action" in row ? row.action : "move" in row ? row.move : row);

describe.each(Object.keys(LISTS))("the list of %s", (name) => {
  const reads = () => LISTS[name]?.() ?? [];

  test("reads few rows, whatever it is asked for and wherever that is", async () => {
    let most = 0;
    const tooMany: object[] = [];
    for (const { what, read, ways = 1 } of reads()) {
      const count = async (after: Keyset | null) => {
        const counted = await rowsRead({ what, read }, { limit: 5, most: MOST, after });
        most = Math.max(most, counted.read);
        if (counted.read > ways * MOST_READ) tooMany.push({ ...what, after, rows: counted.read });
        return counted.last;
      };
      const last = await count(null);
      if (last !== null) await count(last);
    }
    expect(most).toBeGreaterThan(5);
    expect(tooMany).toEqual([]);
  });

  test("has each item once, in its order, though pages are short", async () => {
    for (const { read } of reads().filter((_, n) => n % 29 === 1)) {
      const whole = await read({ limit: 10 * ROWS, after: null });
      const found: string[] = [];
      let after: Keyset | null = null;
      for (let pages = 0; pages < ROWS; pages++) {
        const page: ReadPage<object> = await read({ limit: 2 * ROWS, after, most: 300 });
        found.push(...page.rows.map(idOf));
        after = page.end;
        if (after === null) break;
      }
      expect(after).toBeNull();
      expect(found).toEqual(whole.rows.map(idOf));
    }
  });
});
