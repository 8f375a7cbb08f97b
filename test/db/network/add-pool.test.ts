import { afterAll, beforeAll, expect, test } from "vitest";
import { addPool } from "#commands/network/add-pool.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aWorld, SYSTEM, valueOf } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

// Issue 10, E, invariant 13: an address has one owner in the whole product.
test("a pool whose addresses are partly in another one is refused, wherever that is, and leaves nothing", async () => {
  const [here, there] = [await aWorld(cp), await aWorld(cp)];
  const add = (locationId: string, cidr: string, gateway: string) =>
    addPool(cp.deps, SYSTEM, { locationId, cidr, gateway, vlan: 7 });
  const first = valueOf(await add(here.locationId, "198.18.4.0/24", "198.18.4.1"));
  expect(first).toEqual({ addresses: 253 });
  const stored = () =>
    cp.rows(
      `select (select count(*)::int from network_pools) as pools,
              (select count(*)::int from audit_log where action = 'location.add_pool') as audited`,
    );
  const before = await stored();
  for (const { locationId } of [here, there])
    for (const cidr of ["198.18.4.0/24", "198.18.4.128/25", "198.18.0.0/16"])
      expect(await add(locationId, cidr, "198.18.4.130")).toEqual({
        ok: false,
        error: { code: "name_taken", detail: expect.any(String) },
      });
  expect(await stored()).toEqual(before);
  expect(await add(there.locationId, "198.18.5.0/24", "198.18.5.1")).toMatchObject({ ok: true });
});
