import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aWorld } from "#test/harness/world.ts";

/* What the database refuses whoever writes it: each guard is broken here once, past all of our code. */

let cp: ControlPlane;
let vmId: string;
let orderId: string;
let hostId: string;
beforeAll(async () => {
  cp = await startControlPlane();
  const world = await aWorld(cp);
  ({ vmId, orderId } = await anActiveVm(cp, world));
  ({ hostId } = world);
});
afterAll(() => cp.drop());

test("the audit log can be added to and not changed", async () => {
  await cp.rows(`insert into audit_log (id, at, actor_kind, actor_id, action, subject_kind, subject_id, detail)
    values (gen_random_uuid(), now(), 'system', 'test', 'tested', 'order', gen_random_uuid(), '{}')`);
  const owner = cp.database.asOwner;
  await expect(owner("update audit_log set action = 'else'")).rejects.toThrow("append-only");
  await expect(owner("delete from audit_log")).rejects.toThrow("append-only");
});

describe("the ledger", () => {
  const entries = (amounts: readonly (readonly [number, string])[]) =>
    cp.rows(
      `with t as (insert into ledger_transactions (id, kind, reference, order_id, created_at)
         values (gen_random_uuid(), 'payment', $1, $2, now()) returning id)
       insert into ledger_entries (id, transaction_id, account, amount_minor, currency)
       select gen_random_uuid(), t.id, 'stripe_balance', a.minor, a.currency
       from t, unnest($3::bigint[], $4::text[]) as a(minor, currency)`,
      v7(),
      orderId,
      amounts.map(([minor]) => minor),
      amounts.map(([, currency]) => currency),
    );

  test("takes what sums to zero in each currency, and nothing else", async () => {
    await entries([
      [7, "usd"],
      [-7, "usd"],
    ]);
    await expect(entries([[7, "usd"]])).rejects.toThrow("does not sum to zero");
    await expect(
      entries([
        [7, "usd"],
        [-7, "eur"],
      ]),
    ).rejects.toThrow("does not sum to zero");
  });

  test("is never changed", async () => {
    for (const table of ["ledger_transactions", "ledger_entries"]) {
      const owner = cp.database.asOwner;
      await expect(owner(`delete from ${table}`)).rejects.toThrow("append-only");
      await expect(owner(`update ${table} set id = id`)).rejects.toThrow("append-only");
    }
  });
});

describe("a counter never goes back", () => {
  test.each(["generation", "owner_epoch", "observed_generation"])(
    "(%s of a VM)",
    async (column) => {
      await cp.rows(`update vms set ${column} = ${column} + 1 where id = $1`, vmId);
      await expect(
        cp.rows(`update vms set ${column} = ${column} - 1 where id = $1`, vmId),
      ).rejects.toThrow("would go back");
    },
  );

  test.each(["desired_generation", "identity_epoch"])("(%s of a host)", async (column) => {
    await expect(
      cp.rows(`update hosts set ${column} = ${column} - 1 where id = $1`, hostId),
    ).rejects.toThrow("would go back");
  });
});

test("a host is never oversold", async () => {
  for (const what of ["vcpus", "memory_mib", "disk_gib", "vms"])
    await expect(
      cp.rows(`update hosts set allocated_${what} = capacity_${what} + 1 where id = $1`, hostId),
    ).rejects.toThrow("hosts_never_oversold");
});

test("an address has one owner at a time", async () => {
  await expect(
    cp.rows(
      `insert into ip_leases (id, pool_id, address, vm_id, during, released_at)
       select gen_random_uuid(), pool_id, address, $2, during, now() from ip_leases where vm_id = $1`,
      vmId,
      v7(),
    ),
  ).rejects.toThrow("ip_leases_no_overlap");
});

test("two samples of a VM's usage never begin at one instant", async () => {
  const sample = (epoch: string, from: number, to: number) =>
    cp.rows(
      `insert into usage_samples (vm_id, boot_epoch, seq, from_at, to_at, cpu_ns, rx_bytes, tx_bytes, read_bytes,
         write_bytes, memory_bytes, disk_bytes, bounded, received_at)
       values ($1, $2, 1, to_timestamp($3), to_timestamp($4), 0, 0, 0, 0, 0, 0, 0, false, now())`,
      vmId,
      epoch,
      from,
      to,
    );
  await sample("a", 0, 60);
  await sample("b", 60, 120);
  await expect(sample("c", 60, 61)).rejects.toThrow("pkey");
});
