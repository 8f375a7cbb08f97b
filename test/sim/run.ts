import { parseArgs } from "node:util";
import { drawnStart, drawnBy } from "#test/harness/extent.ts";
import { pendingOnes } from "./checks/invariants.ts";
import { FAULT_KINDS, SELDOM } from "./faults.ts";
import { FULL_RUN, runSeeds, seedsFrom } from "./pool.ts";
import { readPlan } from "./read-plan.ts";
import type { SeedRequest, SeedResult } from "./seed-run.ts";

const HELP = `npm run sim -- [options]

Runs the whole product in a simulated world in which everything fails, and checks what must always hold.

  --seeds N   how many seeds (default 50)
  --from N    the first of them (default 1); drawn: some of the ${FULL_RUN} of a whole run, by the day's seed
  --seed N    one seed alone
  --path P    with --seed: the smaller plan that a failure named
  --plan FILE the plan in a file, as a failure printed it, instead of a seed's
  --trace     with --seed or --plan: print everything that happens, and nothing else
  --json      print one object
  --help      this
`;

/** A run of so many seeds has each kind of fault so often, or it has not shown what it is to show. */
const LEAST_OF_EACH = 100;
/** In as many seeds each kind happens. */
const ENOUGH_FOR_EACH = 100;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "50" },
      from: { type: "string", default: "1" },
      seed: { type: "string" },
      path: { type: "string" },
      plan: { type: "string" },
      trace: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.path !== undefined && values.seed === undefined)
    throw new Error("--path is a smaller plan of a seed's: it takes --seed");
  const plan = values.plan === undefined ? undefined : await readPlan(values.plan);
  const seed = values.seed ?? (plan === undefined ? undefined : "0");
  const one = seed === undefined ? null : wholeNumber("--seed", seed);
  const count = one === null ? wholeNumber("--seeds", values.seeds) : 1;
  const from = one ?? firstOf(values.from, count);
  if (count === 0) throw new Error("--seeds takes at least 1: no seed shows nothing");
  const requests: Iterable<SeedRequest> =
    one === null
      ? seedsFrom(from, count, { shrink: true, keepTrace: false })
      : [
          {
            seed: one,
            path: values.path ?? null,
            shrink: values.path === undefined,
            keepTrace: values.trace,
            ...(plan === undefined ? {} : { plan }),
          },
        ];
  const began = performance.now();
  const results: SeedResult[] = [];
  await runSeeds(requests, {
    ...(count === 1 ? { threads: 1 } : {}),
    onResult: (result) => {
      results.push(result);
      if (values.trace) process.stdout.write(result.trace.join(""));
      if (result.failure) process.stderr.write(`${describeFailure(result, values.plan)}\n`);
      return "go_on";
    },
  });
  const report = reportOf(results, {
    seeds: count,
    from,
    planFile: values.plan,
    seconds: (performance.now() - began) / 1000,
  });
  const out = values.trace ? process.stderr : process.stdout;
  out.write(values.json ? `${JSON.stringify(report)}\n` : inWords(report));
  const shown =
    count >= FULL_RUN
      ? report.rare.length === 0
      : count < ENOUGH_FOR_EACH || report.never.length === 0;
  return report.violations === 0 && shown ? 0 : 1;
}

const ASKED_FOR = FAULT_KINDS.filter((kind) => !SELDOM.has(kind));

function reportOf(
  results: readonly SeedResult[],
  about: { seeds: number; from: number; seconds: number; planFile: string | undefined },
) {
  const faults: Record<string, number> = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0]));
  const orders: Record<string, number> = {};
  for (const result of results) {
    for (const [kind, n] of Object.entries(result.faults)) faults[kind] = (faults[kind] ?? 0) + n;
    for (const [state, n] of Object.entries(result.orders))
      orders[state] = (orders[state] ?? 0) + n;
  }
  const failures = results
    .flatMap((r) =>
      r.failure ? [{ seed: r.seed, replay: replayOf(r, about.planFile), ...r.failure }] : [],
    )
    .toSorted((a, b) => a.seed - b.seed);
  const least = (LEAST_OF_EACH * about.seeds) / FULL_RUN;
  return {
    seeds: about.seeds,
    from: about.from,
    steps: results.reduce((n, r) => n + r.steps, 0),
    faults,
    /** Kinds that happened too rarely for the run to prove anything about them. */
    rare: ASKED_FOR.filter((kind) => (faults[kind] ?? 0) < least),
    never: ASKED_FOR.filter((kind) => faults[kind] === 0),
    violations: failures.length,
    pending: pendingOnes(),
    orders,
    failures,
    seconds: Math.round(about.seconds * 10) / 10,
  };
}

const replayOf = ({ seed, failure }: SeedResult, planFile: string | undefined): string =>
  planFile === undefined
    ? `npm run sim -- --seed ${seed} --path ${failure?.path ?? "0"} --trace`
    : `npm run sim -- --plan ${planFile} --trace`;

const describeFailure = (result: SeedResult, planFile: string | undefined): string =>
  [
    `${planFile ?? `seed ${result.seed}`} breaks invariant ${result.failure?.invariant}: ${result.failure?.detail}`,
    `  ${JSON.stringify(result.failure?.plan)}`,
    `  replay: ${replayOf(result, planFile)}`,
  ].join("\n");

function inWords(report: ReturnType<typeof reportOf>): string {
  const faults = Object.entries(report.faults).map(
    ([kind, n]) => `  ${String(n).padStart(7)} ${kind}`,
  );
  const pending = report.pending.map((p) => `  ${p.invariant}: ${p.missing}`);
  return [
    `${report.seeds} seeds from ${report.from}, ${report.steps} steps in ${report.seconds} s, ${report.violations} violations`,
    "faults:",
    ...faults,
    ...(report.rare.length === 0 ? [] : [`too rare: ${report.rare.join(", ")}`]),
    "pending:",
    ...pending,
    "",
  ].join("\n");
}

function firstOf(from: string, count: number): number {
  if (from !== "drawn") return wholeNumber("--from", from);
  if (count > FULL_RUN) throw new Error(`--from drawn takes at most ${FULL_RUN} --seeds`);
  const drawn = drawnStart("seeds", FULL_RUN, count);
  process.stderr.write(`seeds ${drawn} to ${drawn + count - 1}, ${drawnBy}\n`);
  return drawn;
}

function wholeNumber(option: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 0x7fff_ffff)
    throw new Error(`${option} takes a whole number, not ${text}`);
  return number;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`sim: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
