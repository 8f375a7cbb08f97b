import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recordUsage } from "#commands/record-usage.ts";
import { requestAction } from "#commands/request-action.ts";
import { showUsage } from "#commands/show-vm.ts";
import type { UsageSample } from "#core/contracts/agent.ts";
import { aSample, minutesAfter } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  anActiveVm,
  anEnrolledHost,
  aWorld,
  hostSees,
  valueOf,
  type World,
} from "#test/harness/world.ts";

let cp: ControlPlane;
let world: World;
beforeAll(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp, { places: 20, addresses: 20 });
});
afterAll(() => cp.drop());

/** A VM that was ordered ten minutes ago. */
async function aVm() {
  const vm = await anActiveVm(cp, world);
  cp.clock.advanceMinutes(10);
  await hostSees(cp, world.hostId, vm.vmId); // or nothing more would be placed on it
  return vm;
}
const at = (minutes: number) => minutesAfter(minutes, cp.clock.now()).toISOString();
/** A sample of the minute that ended `ago` minutes before now. */
const minuteOf = (vmId: string, ago: number, over: Partial<UsageSample> = {}) =>
  aSample({ vmId, seq: 100 - ago, from: at(-ago - 1), to: at(-ago), ...over });
const send = (...samples: UsageSample[]) => recordUsage(cp.deps, world.hostId, { samples });
const stored = (vmId: string) =>
  cp.rows("select * from usage_samples where vm_id = $1 order by from_at", vmId);

describe("usage", () => {
  test("that is sent twice counts once", async () => {
    const { vmId } = await aVm();
    const samples = [minuteOf(vmId, 1), minuteOf(vmId, 0)];
    expect(await send(...samples)).toEqual({ stored: 2, duplicates: 0, refused: [] });
    expect(await send(...samples)).toEqual({ stored: 0, duplicates: 2, refused: [] });
    const usage = valueOf(
      await showUsage(cp.deps, world.buyer, { vmId, from: undefined, to: undefined, by: "day" }),
    );
    expect(usage.buckets).toMatchObject([{ rxBytes: 2000n, txBytes: 4000n }]);
  });

  test("of before the VM was ordered is refused for good", async () => {
    const { vmId } = await aVm();
    expect(await send(minuteOf(vmId, 20), minuteOf(vmId, 5))).toMatchObject({
      stored: 1,
      refused: [{ index: 0, code: "before_creation" }],
    });
  });

  test("that two requests bring at once counts once", async () => {
    const { vmId } = await aVm();
    const receipts = await Promise.all(Array.from({ length: 8 }, () => send(minuteOf(vmId, 0))));
    expect(receipts.reduce((n, r) => n + r.stored, 0)).toBe(1);
    expect(await stored(vmId)).toHaveLength(1);
  });

  test("of another host's VM is refused, and the rest of its batch counts", async () => {
    const { vmId } = await aVm();
    const other = await anEnrolledHost(cp, { locationId: world.locationId, places: 1 });
    expect(await recordUsage(cp.deps, other, { samples: [minuteOf(vmId, 0)] })).toMatchObject({
      stored: 0,
      refused: [{ index: 0, code: "vm_not_here" }],
    });
    const stranger = "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6";
    expect(await send(minuteOf(stranger, 0), minuteOf(vmId, 0))).toMatchObject({
      stored: 1,
      refused: [{ index: 0, code: "vm_not_here" }],
    });
  });

  test("of one instant counts once, whatever epoch it claims", async () => {
    const { vmId } = await aVm();
    await send(minuteOf(vmId, 1));
    const claims = minuteOf(vmId, 1, { bootEpoch: "boot-2", seq: 1 });
    expect(await send(claims)).toMatchObject({ stored: 0, refused: [{ code: "overlaps" }] });
    const inOneBatch = [minuteOf(vmId, 0), minuteOf(vmId, 0, { seq: 7 })];
    expect(await send(...inOneBatch)).toMatchObject({ stored: 1, refused: [{ code: "overlaps" }] });
  });

  test("is counted again from a new boot on", async () => {
    const { vmId } = await aVm();
    const boots = [
      minuteOf(vmId, 1, { seq: 1 }),
      minuteOf(vmId, 0, { bootEpoch: "boot-2", seq: 1 }),
    ];
    expect(await send(...boots)).toMatchObject({ stored: 2 });
  });

  test("past what the NIC and the CPU can do is cut, and marked", async () => {
    const { vmId } = await aVm();
    await send(
      minuteOf(vmId, 0, { rxBytes: ["99999999999999999999"], cpuNs: "99999999999999999999" }),
    );
    const [row] = await stored(vmId);
    expect(row).toMatchObject({ bounded: true, tx_bytes: "2000" });
    // 1000 Mbit/s for 61 s with 10 % of slack; one vCPU for as long.
    expect(Number(row?.["rx_bytes"])).toBe(8_387_500_000);
    expect(Number(row?.["cpu_ns"])).toBe(67_100_000_000);
  });

  test.each([
    { name: "ends in the future", from: 0, to: 5, code: "ends_in_future" },
    { name: "is older than 35 days", from: -36 * 1440, to: -36 * 1440 + 1, code: "too_old" },
    { name: "runs backwards", from: 0, to: -1, code: "not_forward" },
  ])("that $name is refused for good", async ({ from, to, code }) => {
    const { vmId } = await aVm();
    expect(await send(minuteOf(vmId, 0, { from: at(from), to: at(to) }))).toMatchObject({
      stored: 0,
      refused: [{ index: 0, code }],
    });
  });

  test("of before the deletion counts, and after it does not", async () => {
    const { vmId } = await aVm();
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "delete" }));
    await hostSees(cp, world.hostId, vmId, { observed: null });
    cp.clock.advanceMinutes(2);
    expect(await send(minuteOf(vmId, 2), minuteOf(vmId, 0))).toMatchObject({
      stored: 1,
      refused: [{ index: 1, code: "after_destruction" }],
    });
  });
});
