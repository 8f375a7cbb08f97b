import { afterAll, beforeAll, expect, test } from "vitest";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anEnrolledHost, aWorld, sendOrder, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane({ connections: 25 });
});
afterAll(() => cp.drop());

/** Fifty customers' orders at once, over real connections; how many got which answer. */
async function fiftyOrders(world: World): Promise<Record<string, number>> {
  const answers = await Promise.all(Array.from({ length: 50 }, () => sendOrder(cp, world)));
  const counts: Record<string, number> = {};
  for (const answer of answers) {
    const code = answer.ok ? "held" : answer.error.code;
    counts[code] = (counts[code] ?? 0) + 1;
  }
  return counts;
}

const allocated = (world: World) =>
  cp.rows(
    `select allocated_memory_mib as memory, capacity_memory_mib as capacity from hosts
     where location_id = $1 order by 2, 1`,
    world.locationId,
  );

test("of fifty orders at once for the last five places five are held, and no host is oversold", async () => {
  const world = await aWorld(cp, { places: 5, addresses: 60 });
  expect(await fiftyOrders(world)).toEqual({ held: 5, no_capacity: 45 });
  expect(await allocated(world)).toEqual([{ memory: 5120, capacity: 5120 }]);
  expect(await cp.rows("select 1 from reservations where released_at is null")).toHaveLength(5);
});

test("the last five places may lie on two hosts", async () => {
  const world = await aWorld(cp, { places: 2, addresses: 60 });
  await anEnrolledHost(cp, { locationId: world.locationId, places: 3 });
  expect(await fiftyOrders(world)).toEqual({ held: 5, no_capacity: 45 });
  expect(await allocated(world)).toEqual([
    { memory: 2048, capacity: 2048 },
    { memory: 3072, capacity: 3072 },
  ]);
});

test("4b C2: the last places may lie on more hosts than an order looks at, each with one", async () => {
  const world = await aWorld(cp, { places: 1, addresses: 60 });
  for (let n = 1; n < 14; n++)
    await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
  expect(await fiftyOrders(world)).toEqual({ held: 14, no_capacity: 36 });
});

test("of fifty orders at once for the last five addresses five are held, each with its own", async () => {
  const world = await aWorld(cp, { places: 60, addresses: 5 });
  expect(await fiftyOrders(world)).toEqual({ held: 5, no_address: 45 });
  const leases = await cp.rows(
    `select distinct l.address from ip_leases l join network_pools p on p.id = l.pool_id
     where p.location_id = $1 and l.released_at is null`,
    world.locationId,
  );
  expect(leases).toHaveLength(5);
  // Whoever got no address gave its room back.
  expect(await allocated(world)).toMatchObject([{ memory: 5 * 1024 }]);
});

test("the last five addresses are found by orders that land on two hosts", async () => {
  const world = await aWorld(cp, { places: 30, addresses: 5 });
  await anEnrolledHost(cp, { locationId: world.locationId, places: 30 });
  expect(await fiftyOrders(world)).toEqual({ held: 5, no_address: 45 });
});
