import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recordUsage } from "#commands/usage/record-usage.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { showUsage } from "#commands/usage/show-usage.ts";
import type { UsageSample } from "#core/contracts/agent/usage.ts";
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

  test("under a number that another interval has is refused, and tells where to go on", async () => {
    const { vmId } = await aVm();
    await send(minuteOf(vmId, 4, { seq: 0 }), minuteOf(vmId, 3, { seq: 1 }));
    // The agent has lost its marks, and begins the same boot at zero.
    expect(await send(minuteOf(vmId, 1, { seq: 0 }))).toMatchObject({
      stored: 0,
      duplicates: 0,
      refused: [{ index: 0, code: "sequence_reused", nextSeq: 2 }],
    });
    expect(await send(minuteOf(vmId, 0, { seq: 2 }))).toMatchObject({ stored: 1 });
  });

  test("4b C1: is stored by as many statements for 400 samples as for one, whatever there is of the VM already", async () => {
    const { vmId } = await aVm();
    cp.clock.advanceMinutes(500);
    await hostSees(cp, world.hostId, vmId);
    await send(minuteOf(vmId, 450, { seq: 0 }));
    const countOf = async (samples: UsageSample[]) => {
      const before = cp.steps.statements;
      expect(await send(...samples)).toMatchObject({ stored: samples.length });
      return cp.steps.statements - before;
    };
    const one = await countOf([minuteOf(vmId, 449, { seq: 1 })]);
    const many = Array.from({ length: 400 }, (_, n) => minuteOf(vmId, 448 - n, { seq: 2 + n }));
    expect(await countOf(many)).toBe(one);
    expect(await send(...many)).toMatchObject({ stored: 0, duplicates: 400 });
  });

  test("11 C: that the table holds and no meter knows fails, and is not called stored", async () => {
    const { vmId } = await aVm();
    await send(minuteOf(vmId, 3));
    await cp.rows(
      `insert into usage_samples select vm_id, boot_epoch, seq + 1, to_at, to_at + interval '1 minute', cpu_ns, rx_bytes, tx_bytes,
         read_bytes, write_bytes, memory_bytes, disk_bytes, received_at, bounded from usage_samples where vm_id = $1`,
      vmId,
    );
    await expect(send(minuteOf(vmId, 2), minuteOf(vmId, 1))).rejects.toMatchObject({
      cause: { code: "23505" },
    });
    expect(await stored(vmId)).toHaveLength(2);
    expect(await send(minuteOf(vmId, 1))).toMatchObject({ stored: 1 });
  });

  test("that comes late, after what follows it, is stored in its place", async () => {
    const { vmId } = await aVm();
    await send(minuteOf(vmId, 3, { seq: 0 }), minuteOf(vmId, 1, { seq: 2 }));
    // What was refused lay aside on its host meanwhile.
    const late = minuteOf(vmId, 2, { seq: 1 });
    expect(await send(late)).toMatchObject({ stored: 1 });
    expect(await send(late)).toMatchObject({ duplicates: 1 });
    expect((await stored(vmId)).map((row) => row["seq"])).toEqual([0, 1, 2]);
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

describe("a VM's usage, asked for", () => {
  const ask = (vmId: string, q: { from?: Date; to?: Date; by?: "hour" | "day" } = {}) =>
    showUsage(cp.deps, world.buyer, { from: undefined, to: undefined, by: "hour", ...q, vmId });
  const instant = (minutes: number) => minutesAfter(minutes, cp.clock.now());
  const wholeHour = (at: Date) => new Date(`${at.toISOString().slice(0, 13)}:00:00.000Z`);

  test("is its own alone, each counter in its place, and summed", async () => {
    const [one, other] = [await aVm(), await aVm()];
    const counted = { cpuNs: "1000000007", rxBytes: ["11"], txBytes: ["23"], readBytes: "37" };
    const receipt = await send(
      minuteOf(one.vmId, 2, { ...counted, writeBytes: "53" }),
      minuteOf(one.vmId, 1, { ...counted, writeBytes: "59" }),
      minuteOf(other.vmId, 1, { rxBytes: ["5000"] }),
    );
    expect(receipt).toEqual({ stored: 3, duplicates: 0, refused: [] });
    const usage = valueOf(await ask(one.vmId, { by: "day" }));
    expect(usage).toEqual({
      from: wholeHour(instant(-24 * 60)),
      to: wholeHour(instant(59)),
      measuredUntil: instant(-1),
      unmeasured: [],
      buckets: [
        {
          from: new Date(new Date(at(-3)).toISOString().slice(0, 10)),
          cpuNs: 2_000_000_014n,
          rxBytes: 22n,
          txBytes: 46n,
          readBytes: 74n,
          writeBytes: 112n,
        },
      ],
    });
  });

  test("is of whole hours: each that the time asked for touches, by when its samples begin", async () => {
    const { vmId } = await aVm();
    cp.clock.advanceMinutes(5 * 60);
    await hostSees(cp, world.hostId, vmId);
    const noon = new Date(`${at(-3 * 60).slice(0, 13)}:00:00.000Z`);
    const after = (minutes: number) => minutesAfter(minutes, noon);
    const minute = (seq: number, from: number) =>
      aSample({
        vmId,
        seq,
        from: after(from).toISOString(),
        to: after(from + 1).toISOString(),
        rxBytes: [String(10 ** seq)],
      });
    // The last minute of an hour, the next one's first, and its last, which ends in the third hour's first instant.
    await send(minute(0, -1), minute(1, 0), minute(2, 59), minute(3, 60));
    const received = async (from: number, to: number) => {
      const usage = valueOf(await ask(vmId, { from: after(from), to: after(to) }));
      const sum = usage.buckets.reduce((n, { rxBytes }) => n + Number(rxBytes), 0);
      return [usage.from, usage.to, sum];
    };
    expect(await received(0, 60)).toEqual([after(0), after(60), 110]);
    expect(await received(1, 2)).toEqual([after(0), after(60), 110]);
    expect(await received(-1, 61)).toEqual([after(-60), after(120), 1111]);
    expect(await received(60, 60 + 1 / 60_000)).toEqual([after(60), after(120), 1000]);
  });

  test("comes by hours, in their order", async () => {
    const { vmId } = await aVm();
    cp.clock.advanceMinutes(8 * 60);
    await hostSees(cp, world.hostId, vmId);
    const oldest = new Date(`${at(-7 * 60).slice(0, 13)}:00:00.000Z`);
    const hours = [0, 1, 2, 3, 4, 5].map((n) => minutesAfter(n * 60, oldest));
    // Each hour has a sample that ends with it; the newest are sent first.
    const samples = hours.map((hour, n) =>
      aSample({
        vmId,
        seq: n,
        from: minutesAfter(59, hour).toISOString(),
        to: minutesAfter(60, hour).toISOString(),
        rxBytes: [String(10 ** n)],
      }),
    );
    expect(await send(...samples.toReversed())).toMatchObject({ stored: 6 });
    const { buckets } = valueOf(await ask(vmId));
    expect(buckets.map(({ from, rxBytes }) => [from, Number(rxBytes)])).toEqual(
      hours.map((hour, n) => [hour, 10 ** n]),
    );
  });

  test("is the last day's when nothing is said, and of 35 days at most", async () => {
    const { vmId } = await aVm();
    const days = (n: number) => instant(n * 24 * 60);
    expect(await ask(vmId, { from: days(-35), to: days(0) })).toMatchObject({ ok: true });
    const past = { from: new Date(+days(-35) - 1), to: days(0) };
    expect(await ask(vmId, past)).toMatchObject({ error: { code: "invalid_request" } });
    const none = { from: days(-1), to: days(-1) };
    expect(await ask(vmId, none)).toMatchObject({ error: { code: "invalid_request" } });
    expect(valueOf(await ask(vmId))).toMatchObject({ buckets: [], measuredUntil: null });
  });
});
