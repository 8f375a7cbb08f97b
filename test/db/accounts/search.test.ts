import { drizzle } from "drizzle-orm/node-postgres";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { FOUND_KINDS, readSearch } from "#core/accounts/read-search.ts";
import { toWireId } from "#core/ids.ts";
import { search } from "#db/accounts/search.ts";
import type { ControlPlane } from "#test/harness/control-plane.ts";
import { aProvisionedVm, aWorld, type World } from "#test/harness/world.ts";
import { openDesk, type Asking } from "./desk.ts";

/* 6a item 6: anything is found by what is known of it. */

let cp: ControlPlane;
let world: World;
let owner: Asking;
let others: Readonly<Record<"support" | "billing" | "operator", Asking>>;
let vmId: string;
let orderId: string;
beforeAll(async () => {
  const desk = await openDesk();
  ({ cp } = desk);
  owner = (await desk.member("owner")).ask;
  others = {
    support: (await desk.member("support")).ask,
    billing: (await desk.member("billing")).ask,
    operator: (await desk.member("operator")).ask,
  };
  world = await aWorld(cp, { places: 10, addresses: 40 });
  ({ vmId, orderId } = await aProvisionedVm(cp, world));
  await cp.rows(
    "update vms set hostname = 'shop_1.example.com', label = 'The 50% Shop' where id = $1",
    vmId,
  );
  await cp.rows("update accounts set name = 'Ada Lovelace' where id = $1", world.buyer.accountId);
  await cp.rows("update hosts set name = 'rack-7.fsn' where id = $1", world.hostId);
});
afterAll(() => cp.drop());

const Result = z.object({
  items: z.array(
    z.object({ kind: z.string(), id: z.string(), matched: z.string(), link: z.string() }),
  ),
  more: z.boolean(),
});
async function find(q: string, ask = owner, more: Record<string, string> = {}) {
  const query = new URLSearchParams({ q, ...more }).toString();
  const { status, body } = await ask("GET", `/staff/v1/search?${query}`);
  if (status !== 200) throw new Error(JSON.stringify(body));
  return Result.parse(body);
}
const found = async (q: string, ask = owner) =>
  (await find(q, ask)).items.map(({ kind, id, matched }) => ({ kind, id, matched }));
const only = async (query: string, ...values: unknown[]) =>
  String(Object.values((await cp.rows(query, ...values))[0] ?? {})[0]);

const vm = (matched: string) => ({ kind: "vm", id: toWireId("vm", vmId), matched });
const order = (matched: string) => ({ kind: "order", id: toWireId("order", orderId), matched });
const account = (matched: string) => ({
  kind: "account",
  id: toWireId("account", world.buyer.accountId),
  matched,
});

test("a VM is found by id, host name, label and address", async () => {
  const address = await only("select host(address) from ip_leases where vm_id = $1", vmId);
  expect(await found(toWireId("vm", vmId))).toEqual([vm("id")]);
  expect(await found(vmId)).toEqual([vm("id")]);
  expect(await found("SHOP_1.ex")).toEqual([vm("hostname")]);
  expect(await found("the 50% s")).toEqual([vm("label")]);
  expect(await found(address)).toEqual([vm("address")]);
  expect(await find("shop_1")).toMatchObject({
    items: [{ link: `/staff/v1/vms/${toWireId("vm", vmId)}` }],
    more: false,
  });
});

test("an address that was given back finds nobody who had it", async () => {
  const gone = await aProvisionedVm(cp, world);
  const address = await only("select host(address) from ip_leases where vm_id = $1", gone.vmId);
  await cp.rows(
    "update ip_leases set released_at = $2 where vm_id = $1",
    gone.vmId,
    cp.clock.now(),
  );
  expect(await found(address)).toEqual([]);
});

test("an account is found by id, by what its address begins with, and by name", async () => {
  expect(await found(toWireId("account", world.buyer.accountId))).toEqual([account("id")]);
  expect(await found(world.buyer.email.toUpperCase().slice(0, 30))).toEqual([account("email")]);
  expect(await found("ada love")).toEqual([account("name")]);
});

test("an order, an invoice and a host are found, by ours and by Stripe's ids", async () => {
  const invoice = await cp.rows("select * from invoices where order_id = $1", orderId);
  const [row] = z.array(z.looseObject({ id: z.string(), provider_id: z.string() })).parse(invoice);
  const billed = (matched: string) => ({
    kind: "invoice",
    id: toWireId("invoice", row?.id ?? ""),
    matched,
  });
  expect(await found(toWireId("order", orderId))).toEqual([order("id")]);
  const checkout = await only("select checkout_id from orders where id = $1", orderId);
  expect(await found(checkout)).toEqual([order("stripe_id")]);
  expect(await found(billed("id").id)).toEqual([billed("id")]);
  expect(await found(row?.provider_id ?? "")).toEqual([billed("stripe_id")]);
  await cp.rows("update invoices set number = 'ABCD-0007' where id = $1", row?.id);
  expect(await found("abcd-00")).toEqual([billed("number")]);
  const subscription = await only("select subscription_id from services where vm_id = $1", vmId);
  expect(await found(subscription)).toEqual([vm("stripe_id")]);
  const customer = await only(
    "select customer_id from billing_customers where account_id = $1",
    world.buyer.accountId,
  );
  expect(await found(customer)).toEqual([account("stripe_id")]);
  const host = { kind: "host", id: toWireId("host", world.hostId) };
  expect(await found(host.id)).toEqual([{ ...host, matched: "id" }]);
  expect(await found("rack-7")).toEqual([{ ...host, matched: "name" }]);
});

test.each(["%", "_", "sho%", "shop__", "shop\\_1", "' or 1=1 --", "the 50_", "%ada", "*"])(
  "no character means anything but itself: %j finds nothing",
  async (q) => {
    expect(await found(q)).toEqual([]);
  },
);

test.each(["", "  ", "x".repeat(201), "a\u0000b", "a\nb"])("%j is refused", async (q) => {
  const asked = await owner("GET", `/staff/v1/search?${new URLSearchParams({ q }).toString()}`);
  expect(asked).toMatchObject({ status: 400, body: { code: "invalid_request" } });
});

test("what one's scopes do not show is not found", async () => {
  const kinds = async (q: string) => {
    const seen = Object.entries(others).map(async ([role, ask]) => [
      role,
      (await find(q, ask)).items.length > 0,
    ]);
    return Object.fromEntries(await Promise.all(seen));
  };
  const all = { support: true, billing: true, operator: true };
  expect(await kinds(vmId)).toEqual(all);
  expect(await kinds("ada love")).toEqual({ ...all, operator: false });
  expect(await kinds(world.buyer.email)).toEqual({ ...all, operator: false });
  expect(await kinds(toWireId("order", orderId))).toEqual({ ...all, operator: false });
  const invoice = await only("select provider_id from invoices where order_id = $1", orderId);
  expect(await kinds(invoice)).toEqual({ ...all, operator: false });
  expect(await kinds("rack-7")).toEqual({ ...all, billing: false });
});

test("each beginning is looked for in an index, from its place on and in its order", async () => {
  const asked: [string, unknown[]][] = [];
  const logger = { logQuery: (text: string, values: unknown[]) => void asked.push([text, values]) };
  await search(drizzle(cp.database.pool, { logger }), readSearch("vm-"), FOUND_KINDS, 11);
  const [[text, values] = ["", []]] = asked;
  const client = await cp.database.pool.connect();
  try {
    // Where an index serves, nothing else is then taken, however few rows there are.
    for (const way of ["seqscan", "bitmapscan", "sort"])
      await client.query(`set enable_${way} = off`);
    const { rows } = await client.query<{ "QUERY PLAN": string }>(`explain ${text}`, values);
    const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
    expect(plan).not.toMatch(/Seq Scan|Sort/);
    expect(plan.match(/Index Cond: .*>= 'vm-'/g)).toHaveLength(7);
  } finally {
    await client.query("reset all");
    client.release();
  }
});

describe("of many", () => {
  beforeAll(async () => {
    for (const n of [1, 2, 3]) {
      const made = await aProvisionedVm(cp, world);
      await cp.rows(
        "update vms set hostname = $2, label = $2 where id = $1",
        made.vmId,
        `many-${n}`,
      );
    }
  });

  test("each is told once, so many as were asked for, and that there are more", async () => {
    const titles = (r: z.infer<typeof Result>) => r.items.map(({ id }) => id);
    const whole = await find("many");
    expect(titles(whole)).toHaveLength(3);
    expect(whole.more).toBe(false);
    const some = await find("many", owner, { limit: "2" });
    expect(titles(some)).toEqual(titles(whole).slice(0, 2));
    expect(some.more).toBe(true);
  });

  test("what nobody has finds nothing", async () => {
    expect(await find(v7())).toEqual({ items: [], more: false });
    expect(await find("no such thing")).toEqual({ items: [], more: false });
  });
});
