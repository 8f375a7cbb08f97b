import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toWireId } from "#core/ids.ts";
import type { ControlPlane } from "#test/harness/control-plane.ts";
import { aProvisionedVm, aWorld, type World } from "#test/harness/world.ts";
import { anAccount } from "./account-builders.ts";
import { listed, openDesk, walked, type Asking, type Items } from "./desk.ts";

/* 6a item 6: staff's lists, each by filters, in each of its orders, page by page. */

let cp: ControlPlane;
let ask: Asking;
let world: World;
let vmIds: readonly string[];
let otherAccount: string;
beforeAll(async () => {
  const desk = await openDesk();
  ({ cp } = desk);
  ({ ask } = await desk.member("owner"));
  world = await aWorld(cp, { places: 10 });
  const made = [];
  for (const hostname of ["b-2", "B%_", "a-1"]) {
    const { vmId } = await aProvisionedVm(cp, world);
    await cp.rows("update vms set hostname = $2 where id = $1", vmId, hostname);
    made.push(vmId);
  }
  vmIds = made;
  for (const name of ["r2", "r10", "r1"])
    await ask("POST", "/staff/v1/hosts", {
      name: `${name}-${v7()}`,
      locationId: toWireId("location", world.locationId),
      ...(name === "r1" && { group: "rack-1" }),
    });
  otherAccount = (await anAccount(desk.accounts, "customer")).accountId;
});
afterAll(() => cp.drop());

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const valuesOf = (items: Items, key: string) => items.map((item) => String(item[key]));

describe.each([
  ["/staff/v1/accounts", "email"],
  ["/staff/v1/accounts", "createdAt"],
  ["/staff/v1/vms", "hostname"],
  ["/staff/v1/vms", "createdAt"],
  ["/staff/v1/orders", "createdAt"],
  ["/staff/v1/actions", "startedAt"],
  ["/staff/v1/hosts", "name"],
  ["/staff/v1/hosts", "createdAt"],
])("%s by %s", (list, key) => {
  test("is in that order, and backwards in the other", async () => {
    const { items } = await listed(ask, list, { sort: key, limit: "100" });
    expect(items.length).toBeGreaterThan(2);
    // What goes by time goes by ids: those of people are made by the machine's clock here, and not by the test's.
    const keys = valuesOf(items, key.endsWith("At") ? "id" : key);
    expect(keys).toEqual(keys.toSorted(byBytes));
    const down = await listed(ask, list, { sort: `-${key}`, limit: "100" });
    expect(down.items).toEqual(items.toReversed());
  });

  test.each([key, `-${key}`])("has each item once, page by page, by %s", async (sort) => {
    const whole = await listed(ask, list, { sort, limit: "100" });
    expect(await walked(ask, list, { sort })).toEqual(whole.items.map(({ id }) => id));
  });

  test("refuses a cursor of another order, and begins anew with what is none", async () => {
    const first = await listed(ask, list, { sort: key, limit: "1" });
    const cursor = first.nextCursor ?? "";
    const other = await ask("GET", `${list}?sort=-${key}&cursor=${cursor}`);
    expect(other).toMatchObject({ status: 400, body: { code: "cursor_invalid" } });
    const anew = await listed(ask, list, { sort: key, limit: "1", cursor: "AAAA" });
    expect(anew.items).toEqual(first.items);
  });

  test("refuses filters, orders and limits that it does not have", async () => {
    for (const query of ["colour=red", "sort=colour", "limit=101", "limit=0"])
      expect({ query, ...(await ask("GET", `${list}?${query}`)) }).toMatchObject({
        status: 400,
        body: { code: "invalid_request" },
      });
  });
});

const ids = async (list: string, query: Record<string, string>) =>
  (await listed(ask, list, query)).items.map(({ id }) => id);
const wire = (id: string | undefined) => toWireId("vm", id ?? "");

test("VMs are found by whose they are and where", async () => {
  const all = [...vmIds].map(wire).toReversed();
  const host = toWireId("host", world.hostId);
  for (const query of [
    { accountId: toWireId("account", world.buyer.accountId) },
    { hostId: host },
    { locationId: toWireId("location", world.locationId) },
    { planId: toWireId("plan", world.planId) },
  ])
    expect({ query, ids: await ids("/staff/v1/vms", query) }).toEqual({ query, ids: all });
  expect(await ids("/staff/v1/vms", { accountId: toWireId("account", otherAccount) })).toEqual([]);
  expect(await ids("/staff/v1/vms", { hostId: host, planId: toWireId("plan", v7()) })).toEqual([]);
});

test("VMs that are lost or gone are told apart", async () => {
  const [lost, gone, here] = vmIds;
  const now = cp.clock.now();
  await cp.rows("update vms set lost_at = $2 where id = $1", lost, now);
  await cp.rows("update vms set presence = 'absent', deleted_at = $2 where id = $1", gone, now);
  expect(await ids("/staff/v1/vms", { presence: "lost" })).toEqual([wire(lost)]);
  expect(await ids("/staff/v1/vms", { presence: "gone" })).toEqual([wire(gone)]);
  expect(await ids("/staff/v1/vms", { presence: "any" })).toHaveLength(3);
  expect(await ids("/staff/v1/vms", {})).toEqual([wire(here), wire(lost)]);
});

test("accounts are found by role, by what an address begins with, and by whether they are closed", async () => {
  const emails = async (query: Record<string, string>) =>
    valuesOf((await listed(ask, "/staff/v1/accounts", { limit: "100", ...query })).items, "email");
  await cp.rows("update accounts set email = 'mae_1@x.example' where id = $1", otherAccount);
  expect(await emails({ email: "MAE_" })).toEqual(["mae_1@x.example"]);
  expect(await emails({ email: "m%" })).toEqual([]);
  expect(await emails({ email: "ma_" })).toEqual([]);
  expect(await emails({ role: "staff" })).toHaveLength(1);
  expect(await emails({ role: "customer" })).toContain("mae_1@x.example");
  await cp.rows("update accounts set banned_at = now() where id = $1", otherAccount);
  expect(await emails({ closed: "true" })).toEqual(["mae_1@x.example"]);
  expect(await emails({ closed: "false" })).not.toContain("mae_1@x.example");
});

test("orders and actions are found by their states, and by whose they are", async () => {
  const count = async (list: string, query: Record<string, string>) =>
    (await ids(list, query)).length;
  expect(await count("/staff/v1/orders", { state: "paid" })).toBe(3);
  expect(await count("/staff/v1/orders", { state: "expired" })).toBe(0);
  const accountId = toWireId("account", otherAccount);
  expect(await count("/staff/v1/orders", { accountId })).toBe(0);
  const vmId = wire(vmIds[0]);
  expect(await count("/staff/v1/actions", { vmId })).toBe(1);
  expect(await count("/staff/v1/actions", { type: "create", status: "running" })).toBe(3);
  expect(await count("/staff/v1/actions", { status: "error" })).toBe(0);
});

test("a host is in the group that it was added to, and found by it", async () => {
  const found = await listed(ask, "/staff/v1/hosts", { group: "rack-1" });
  expect(found.items).toMatchObject([{ group: "rack-1", name: expect.stringMatching(/^r1-/) }]);
  expect(await ids("/staff/v1/hosts", { state: "enrolling" })).toHaveLength(3);
  expect(await ids("/staff/v1/hosts", { locationId: toWireId("location", v7()) })).toEqual([]);
});
