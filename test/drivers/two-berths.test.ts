import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { memoryWorld } from "#host-agent/drivers/simulated/world.ts";
import { aDesiredVm } from "./builders.ts";
import { createTestHost } from "./agent-harness.ts";
import { createFakeControlPlane } from "./fake-control-plane.ts";

/* 12.7: two Berths, each with its control plane and its agent, on one hypervisor. */

const aPlane = (installation?: string) => {
  const plane = createFakeControlPlane();
  if (installation !== undefined) plane.session_ = { ...plane.session_, installation };
  return plane;
};

/** Runs until the session was opened and VMs were claimed, and ends. */
async function workFor(host: ReturnType<typeof createTestHost>, ms: number): Promise<void> {
  const stop = new AbortController();
  const running = host.agent.run(stop.signal);
  await host.clock.advance(ms);
  stop.abort();
  await running;
  host.restart();
}
const GUARDED_MS = 6 * 60_000;
const strangersOf = (plane: ReturnType<typeof aPlane>) =>
  plane.reports.at(-1)?.strangers.map(({ vmId }) => vmId) ?? [];

test("neither reports the other's VMs as strangers, those of before its id was told neither", async () => {
  const world = memoryWorld();
  const [one, two] = [aPlane(randomUUID()), aPlane(randomUUID())];
  const [first, second] = [
    createTestHost({ world, plane: one }),
    createTestHost({ world, plane: two }),
  ];
  const [old, mine, theirs] = [aDesiredVm(), aDesiredVm(), aDesiredVm()];
  one.want([old]);
  // Before the first session, as an agent of before made it.
  await first.agent.pass();
  expect((await world.vm(old.vmId))?.installation).toBeUndefined();
  await second.agent.pass();
  expect(strangersOf(two)).toEqual([old.vmId]);

  await workFor(first, GUARDED_MS);
  await workFor(second, GUARDED_MS);
  one.want([old, mine]);
  two.want([theirs]);
  for (const host of [first, second, first, second]) await host.agent.pass();
  expect([strangersOf(one), strangersOf(two)]).toEqual([[], []]);
  expect(one.last(old.vmId)).toMatchObject({ settled: true, observed: { power: "running" } });
  expect(two.last(theirs.vmId)).toMatchObject({ settled: true });
  expect([...first.errors, ...second.errors]).toEqual([]);
});

test("a desired document that names the other's VM gets it refused, and nothing is done to it", async () => {
  const world = memoryWorld();
  const [one, two] = [aPlane(randomUUID()), aPlane(randomUUID())];
  const [first, second] = [
    createTestHost({ world, plane: one }),
    createTestHost({ world, plane: two }),
  ];
  await workFor(first, 1000);
  await workFor(second, 1000);
  const vm = aDesiredVm();
  one.want([vm]);
  await first.agent.pass();
  const before = await world.vm(vm.vmId);
  two.want([{ ...vm, presence: "absent" }]);
  await second.agent.pass();
  expect(await world.vm(vm.vmId)).toEqual(before);
});

test("an agent whose control plane has no id goes on as before", async () => {
  const world = memoryWorld();
  const plane = aPlane();
  const host = createTestHost({ world, plane });
  const vm = aDesiredVm();
  plane.want([vm]);
  await workFor(host, GUARDED_MS);
  await host.agent.pass();
  expect(plane.last(vm.vmId)).toMatchObject({ settled: true });
  expect((await world.vm(vm.vmId))?.installation).toBeUndefined();
});
