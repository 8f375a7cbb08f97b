import { drizzle } from "drizzle-orm/node-postgres";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { checkBought } from "#commands/billing/check-bought.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aStoredQuote, aVmToResize, isSeen, take, type Vm } from "#test/harness/plan-changes.ts";
import { valueOf } from "#test/harness/world.ts";

/* 6a 2, invariants 21 and 22: what is had is held against what was bought, wherever either was changed. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());
beforeEach(async () => {
  await checkBought(cp.deps);
});

/** Open findings of it, once what was changed has been looked at. */
async function foundOf({ vmId }: Vm): Promise<readonly unknown[]> {
  await checkBought(cp.deps);
  const query =
    "select kind from findings where vm_id = $1 and ended_at is null and kind like '%_not_bought' order by kind";
  return (await cp.rows(query, vmId)).map((row) => row["kind"]);
}
const SIZE = ["size_not_bought"];
const PRICE = ["price_not_bought"];

test.each([
  ["vcpus", "vms set vcpus = 2", "vms set vcpus = 1", SIZE],
  ["memory", "vms set memory_mib = 512", "vms set memory_mib = 1024", SIZE],
  ["bandwidth", "vms set bandwidth_mbit = null", "vms set bandwidth_mbit = 1000", SIZE],
  ["operations", "vms set disk_iops = 100", "vms set disk_iops = null", SIZE],
  ["price", "services set amount_minor = 499", "services set amount_minor = 500", PRICE],
  ["interval", "services set interval = 'hour'", "services set interval = 'month'", PRICE],
])(
  "%s that were not bought are found within a minute, and are over when they are mended",
  async (_, wrong, right, kinds) => {
    const vm = await aVmToResize(cp);
    expect(await foundOf(vm)).toEqual([]);
    const set = (what: string) =>
      cp.rows(`update ${what} where ${what.startsWith("vms") ? "id" : "vm_id"} = $1`, vm.vmId);
    await set(wrong);
    expect(await foundOf(vm)).toEqual(kinds);
    expect(await foundOf(vm)).toEqual(kinds);
    await set(right);
    expect(await foundOf(vm)).toEqual([]);
  },
);

test("a version that was not bought with its price and its size is both", async () => {
  const vm = await aVmToResize(cp);
  await cp.rows("update services set plan_version = 2 where vm_id = $1", vm.vmId);
  expect(await foundOf(vm)).toEqual([...PRICE, ...SIZE]);
});

test("a disk that has grown, a price of staff's, and a VM that is to go are in order", async () => {
  const vm = await aVmToResize(cp);
  await cp.rows("update vms set disk_gib = 60 where id = $1", vm.vmId);
  await cp.rows(
    `update services set payer = 'staff', subscription_id = null, subscription_status = null, subscription_version = null,
       interval = null, amount_minor = null, currency = null where vm_id = $1`,
    vm.vmId,
  );
  expect(await foundOf(vm)).toEqual([]);
  await cp.rows("update vms set vcpus = 2 where id = $1", vm.vmId);
  expect(await foundOf(vm)).toEqual(SIZE);
  valueOf(await requestAction(cp.deps, { who: vm.world.buyer, vmId: vm.vmId, type: "delete" }));
  expect(await foundOf(vm)).toEqual([]);
});

test("while a change is open nothing is said of it; what it leaves behind is looked at as it ends", async () => {
  const vm = await aVmToResize(cp);
  const quote = await aStoredQuote(cp, vm);
  valueOf(await take(cp, vm, quote.id));
  await cp.pump();
  expect(await foundOf(vm)).toEqual([]);
  await isSeen(cp, vm);
  await cp.pump();
  expect(await foundOf(vm)).toEqual([]);
  await cp.rows("update vms set vcpus = 1 where id = $1", vm.vmId);
  expect(await foundOf(vm)).toEqual(SIZE);
});

test("what is unchanged is not looked at, and two that look at once find it once", async () => {
  const vm = await aVmToResize(cp);
  await checkBought(cp.deps);
  expect(await checkBought(cp.deps)).toEqual({ checked: 0, opened: 0, ended: 0 });
  // As every statement about a VM writes it: nothing of what was bought is another.
  await cp.rows("update vms set vcpus = vcpus, label = 'a' where id = $1", vm.vmId);
  expect((await checkBought(cp.deps)).checked).toBe(0);
  await cp.rows("update vms set vcpus = 2 where id = $1", vm.vmId);
  const both = await Promise.all([checkBought(cp.deps), checkBought(cp.deps)]);
  expect(both.reduce((sum, { opened }) => sum + opened, 0)).toBe(1);
});

test("looks at what was changed by its keys, and never at all VMs", async () => {
  const vm = await aVmToResize(cp);
  await cp.rows("update vms set vcpus = 2 where id = $1", vm.vmId);
  const asked: [string, unknown[]][] = [];
  const logger = { logQuery: (text: string, values: unknown[]) => void asked.push([text, values]) };
  await checkBought({ ...cp.deps, db: drizzle(cp.database.pool, { logger }) });
  const looks = asked.filter(([text]) => /from "(bought_changes|vms|findings)"/.test(text));
  expect(looks).toHaveLength(3);
  const client = await cp.database.pool.connect();
  try {
    // Where an index serves, nothing else is then taken, however few rows there are.
    for (const way of ["seqscan", "bitmapscan"]) await client.query(`set enable_${way} = off`);
    for (const [text, values] of looks) {
      const { rows } = await client.query<{ "QUERY PLAN": string }>(`explain ${text}`, values);
      const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
      expect(plan).not.toMatch(/Seq Scan on (vms|services|plan_changes|findings|bought_changes)/);
    }
  } finally {
    await client.query("reset all");
    client.release();
  }
});
