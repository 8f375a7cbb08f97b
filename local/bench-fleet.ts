import { parseArgs } from "node:util";
import { callsOf } from "./bench-fleet-calls.ts";
import { openFleet, type Fleet } from "./bench-fleet-database.ts";
import { fill, hear, VMS_OF_A_HOST } from "./bench-fleet-rows.ts";
import { growsAtMost, percentile, type BenchRow } from "./bench-row.ts";
import { BENCH_OPTIONS, benchOnStack } from "./bench-stack.ts";
import { PlainError, runMain } from "./main.ts";
import type { Stack } from "./stack.ts";

const USAGE = `npm run bench:fleet -- [options]: what a large fleet costs, on this machine

  --json   the figures as data, and nothing else
  --check  exit code 1 when one misses its goal
  --quick  up to 1,000 hosts and 50,000 VMs: a minute
  --help

Each call of the API that lists, orders, what hosts ask and tell, and the sweep, in one location with 2, 1,000 and 20,000
hosts and 100, 50,000 and 1,000,000 VMs. The floor is what it takes with the fewest, "ours" with the most.
`;

const HOSTS = [2, 1000, 20_000];
/** Of each call so many series of so many, and the best median: what Postgres or others do meanwhile only adds. */
const SERIES = 3;
const CALLS = 15;
const MOST_TIMES = 1.5;

async function main(args: readonly string[]): Promise<void> {
  const values = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  // The sweep is measured by itself.
  await benchOnStack(values, { hosts: [], sweepSeconds: 24 * 3600, throwaway: true }, (stack) =>
    measure(stack, values.quick ? HOSTS.slice(0, 2) : HOSTS),
  );
}

async function measure(stack: Stack, hosts: readonly number[]): Promise<readonly BenchRow[]> {
  const fleets: Fleet[] = [];
  try {
    for (const count of hosts) {
      const fleet = await openFleet(stack, `bench_${count}`);
      fleets.push(fleet);
      await fill(fleet, { hosts: count, vms: count * VMS_OF_A_HOST });
    }
    const calls = await Promise.all(fleets.map(callsOf));
    const names = (calls[0] ?? []).map(({ name }) => name);
    const ready: (() => Promise<void>)[][] = [];
    for (const nth of names.keys())
      ready.push(
        await Promise.all(
          calls.flatMap((of) => of[nth] ?? []).map(({ prepare }) => prepare((SERIES + 1) * CALLS)),
        ),
      );
    const best = names.map(() => hosts.map(() => Infinity));
    // The first series is to warm up.
    for (let series = 0; series <= SERIES; series++) {
      await Promise.all(fleets.map(hear));
      for (const [nth, ofSizes] of ready.entries())
        for (const [size, ms] of (await byTurns(ofSizes)).entries())
          if (series > 0) best[nth]?.splice(size, 1, Math.min(best[nth][size] ?? ms, ms));
    }
    return names.map((name, nth) => rowOf(name, hosts, best[nth] ?? []));
  } finally {
    await Promise.all(fleets.map((fleet) => fleet.close()));
  }
}

function rowOf(call: string, hosts: readonly number[], ms: readonly number[]): BenchRow {
  const between = ms.slice(1, -1).map((m, n) => `${hosts[n + 1]} hosts: ${m.toFixed(2)}`);
  return growsAtMost(MOST_TIMES, {
    name: [call, ...between].join(", "),
    unit: "ms",
    floor: ms[0] ?? NaN,
    ours: ms.at(-1) ?? NaN,
  });
}

/** The same call of each size, by turns, so that all meet the same machine: the median of each, in ms. */
async function byTurns(calls: readonly (() => Promise<void>)[]): Promise<readonly number[]> {
  const took = calls.map((): number[] => []);
  for (let n = 0; n < CALLS; n++)
    for (const [size, once] of calls.entries()) {
      const began = performance.now();
      await once();
      took[size]?.push(performance.now() - began);
    }
  return took.map((each) => percentile(each, 0.5));
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...BENCH_OPTIONS,
        quick: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);
