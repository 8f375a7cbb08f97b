import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { askedToStop, whenAsked } from "./asked-to-stop.ts";
import { callsOf, type Call } from "./bench-fleet-calls.ts";
import { growTo, hear, VMS_OF_A_HOST, type Size } from "./bench-fleet-rows.ts";
import { growsAtMost, percentile, toText, type BenchRow } from "./bench-row.ts";
import { createLineLog } from "./log.ts";
import { PlainError, runMain } from "./main.ts";
import { freePorts } from "./ports.ts";
import { endLeftoverPostgres } from "./postgres-leftover.ts";
import { dataFolderOf } from "./postgres-place.ts";
import { startStack, type Stack } from "./stack.ts";

const USAGE = `npm run bench:fleet -- [options]: what a large fleet costs, on this machine

  --json   the figures as data, and nothing else
  --check  exit code 1 when one misses its goal
  --quick  up to 1,000 hosts and 50,000 VMs: a minute
  --help

Each call of the API that lists, orders, what hosts ask and tell, and the sweep, in one location with 2, 1,000 and 20,000
hosts and 100, 50,000 and 1,000,000 VMs. The floor is what it takes with the fewest, "ours" with the most.
`;

const HOSTS = [2, 1000, 20_000];
const NONE: Size = { hosts: 0, vms: 0 };
/** In so many series, each of so many calls, the median of a series, and the best of these: others' load only adds. */
const SERIES = 4;
const CALLS = 15;
const MOST_TIMES = 1.5;

async function main(args: readonly string[]): Promise<void> {
  const values = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-bench-"));
  await chmod(folder, 0o711);
  const asked = askedToStop();
  let stack: Stack | undefined;
  let rows: readonly BenchRow[] | undefined;
  try {
    stack = await startStack({
      folder,
      ports: await freePorts(),
      hosts: [],
      log: (clock) => createLineLog(() => undefined, clock),
      intervals: { resyncSeconds: 60, usageSampleSeconds: 60, usageFlushSeconds: 60 },
      sweepSeconds: 24 * 3600, // it is measured by itself
      throwaway: true,
    });
    const measuring = measure(stack, values.quick ? HOSTS.slice(0, 2) : HOSTS);
    rows = (await Promise.race([measuring, whenAsked(asked)])) ?? undefined;
  } catch (error) {
    if (!asked.aborted) throw error;
  } finally {
    await stack?.stop();
    await endLeftoverPostgres((await dataFolderOf(path.join(folder, "postgres"))).data);
    await rm(folder, { recursive: true, force: true });
  }
  if (!rows) throw new PlainError("the benchmark was interrupted");
  process.stdout.write(values.json ? `${JSON.stringify({ rows })}\n` : toText(rows));
  const missed = rows.filter((row) => !row.holds).map((row) => row.name);
  if (values.check && missed.length > 0) throw new PlainError(`missed: ${missed.join("; ")}`);
}

/** By call, what it took at each size, in ms. */
async function measure(stack: Stack, hosts: readonly number[]): Promise<readonly BenchRow[]> {
  const took = new Map<string, number[]>();
  let before = NONE;
  // The smallest comes twice: what is compiled, and cached by whoever caches, is so from the first figure on.
  for (const [nth, count] of [...hosts.slice(0, 1), ...hosts].entries()) {
    const size = { hosts: count, vms: count * VMS_OF_A_HOST };
    await growTo(stack, before, size);
    before = size;
    for (const call of await callsOf(stack, nth)) {
      await hear(stack);
      const ms = await msOf(call);
      if (nth > 0) took.set(call.name, [...(took.get(call.name) ?? []), ms]);
    }
  }
  const between = (all: readonly number[]) =>
    all.slice(1, -1).map((ms, n) => `${hosts[n + 1]} hosts: ${Number(ms.toPrecision(3))}`);
  return [...took].map(([call, all]) =>
    growsAtMost(MOST_TIMES, {
      name: [call, ...between(all)].join(", "),
      unit: "ms",
      floor: all[0] ?? NaN,
      ours: all.at(-1) ?? NaN,
    }),
  );
}

async function msOf(call: Call): Promise<number> {
  const once = await call.prepare((SERIES + 1) * CALLS);
  const medians: number[] = [];
  // The first series is to warm up.
  for (let series = 0; series <= SERIES; series++) {
    const took: number[] = [];
    for (let n = 0; n < CALLS; n++) {
      const began = performance.now();
      await once();
      took.push(performance.now() - began);
    }
    if (series > 0) medians.push(percentile(took, 0.5));
  }
  return Math.min(...medians);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        json: { type: "boolean", default: false },
        check: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);
