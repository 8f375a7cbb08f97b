import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { recordUsage } from "#commands/usage/record-usage.ts";
import type { UsageSample } from "#core/contracts/agent/usage.ts";
import { aSample, minutesAfter } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aWorld, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
let world: World;
let vmIds: string[];
beforeAll(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
  vmIds = [
    (await anActiveVm(cp, world)).vmId,
    (await anActiveVm(cp, world)).vmId,
    (await anActiveVm(cp, world)).vmId,
  ];
});
afterAll(() => cp.drop());

const count = fc.integer({ min: 0, max: 1_000_000 }).map(String);
/** One VM's samples, each beginning where the last one ended; now and then a boot begins. */
const history = fc.array(
  fc.record({
    boots: fc.boolean(),
    minutes: fc.integer({ min: 1, max: 50 }),
    cpuNs: count,
    rxBytes: count,
    txBytes: count,
    readBytes: count,
    writeBytes: count,
  }),
  { minLength: 1, maxLength: 20 },
);
/** How they are sent: which of all samples each batch has, in which order, and how many batches come at once. */
const sending = fc.record({
  batches: fc.array(fc.array(fc.nat(), { minLength: 1, maxLength: 15 }), { maxLength: 12 }),
  atOnce: fc.integer({ min: 1, max: 6 }),
  pageSize: fc.integer({ min: 1, max: 25 }),
});

const asStored = (s: UsageSample) =>
  [s.vmId, s.bootEpoch, s.seq, s.cpuNs, s.rxBytes[0], s.txBytes[0], s.readBytes, s.writeBytes].join(
    "/",
  );

const SUMS = `sum(cpu_ns)::text as cpu, sum(rx_bytes)::text as rx, sum(tx_bytes)::text as tx,
  sum(read_bytes)::text as read, sum(write_bytes)::text as written`;
const hours = () =>
  cp.rows(
    `select vm_id, hour, ${SUMS}, sum(measured_ms)::text as ms, sum(samples)::int as n from usage_hours group by 1, 2 order by 1, 2`,
  );
/** The same, from the samples themselves. */
const hoursOfSamples = () =>
  cp.rows(
    `select vm_id, date_trunc('hour', from_at, 'UTC') as hour, ${SUMS},
       sum((extract(epoch from to_at - from_at) * 1000)::bigint)::text as ms, count(*)::int as n
     from usage_samples group by 1, 2 order by 1, 2`,
  );

let runs = 0;
test("4b C1: however samples are split, repeated, mixed up and sent at once, each is stored once, and the hours are their sum", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(history, { minLength: 3, maxLength: 3 }),
      sending,
      async (histories, { batches, atOnce, pageSize }) => {
        const run = ++runs;
        const began = cp.clock.now();
        // Past all that was measured in the runs before.
        cp.clock.advanceMinutes(20 * 50 + 1);
        const samples = histories.flatMap((steps, vm): UsageSample[] => {
          let [at, boot, seq] = [began, 0, 0];
          return steps.map(({ boots, minutes, rxBytes, txBytes, ...counters }) => {
            if (boots) [boot, seq] = [boot + 1, 0];
            const from = at;
            at = minutesAfter(minutes, at);
            return aSample({
              vmId: vmIds[vm] ?? "",
              bootEpoch: `run-${run}-boot-${boot}`,
              seq: seq++,
              from: from.toISOString(),
              to: at.toISOString(),
              ...counters,
              rxBytes: [rxBytes],
              txBytes: [txBytes],
            });
          });
        });
        const picked = batches.map((batch) =>
          batch.flatMap((n) => samples[n % samples.length] ?? []),
        );
        // In the end the agent has sent all of it, page by page.
        const pages = Array.from({ length: Math.ceil(samples.length / pageSize) }, (_, n) =>
          samples.slice(n * pageSize, (n + 1) * pageSize),
        );
        const all = [...picked, ...pages];
        let stored = 0;
        for (let n = 0; n < all.length; n += atOnce)
          for (const receipt of await Promise.all(
            all
              .slice(n, n + atOnce)
              .map((batch) => recordUsage(cp.deps, world.hostId, { samples: batch })),
          )) {
            expect(receipt.refused).toEqual([]);
            stored += receipt.stored;
          }

        expect(stored).toBe(samples.length);
        const rows = await cp.rows(
          "select concat_ws('/', vm_id, boot_epoch, seq, cpu_ns, rx_bytes, tx_bytes, read_bytes, write_bytes) as it from usage_samples where boot_epoch like $1",
          `run-${run}-%`,
        );
        expect(rows.map((row) => String(row["it"])).sort()).toEqual(samples.map(asStored).sort());
        expect(await hoursOfSamples()).toEqual(await hours());
      },
    ),
    { numRuns: 25 },
  );
});
