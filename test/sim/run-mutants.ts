import path from "node:path";
import { parseArgs } from "node:util";
import { availableParallelism } from "node:os";
import { drawnBy, sampled } from "#test/harness/extent.ts";
import { MUTANTS } from "./mutants/mutants.ts";
import { runSeeds, seedsFrom } from "./pool.ts";
import { readPlan } from "./read-plan.ts";
import type { SeedRequest } from "./seed-run.ts";

const HELP = `npm run sim:mutants -- [options]

Plants each of ${MUTANTS.length} defects in memory, and runs the plan that it names, if it does, and then seeds, until an
invariant catches it. What did must hold without the defect.

  --only TEXT  only mutants whose name has this text
  --some N     only so many of them, drawn by the day's seed (BERTH_TEST_SEED)
  --seeds N    give up after so many seeds (default 2000)
  --minutes N  leave a mutant after so long: it is told as not known, and fails nothing while a third are caught
  --from N     the first of them (default 1)
  --json       print one object
  --help       this
`;

type Verdict = {
  name: string;
  caught: boolean;
  by: number | null;
  /** null: it was caught by its own plan, or not at all. */
  seed: number | null;
  detail: string;
  /** Its time was over before all the seeds had run: whether they catch it is not known. */
  isLeft: boolean;
};

/** What is tried, and until when. */
type Extent = Readonly<{ from: number; seeds: number; endsAt: number }>;

const HOW = { shrink: false, keepTrace: false };

/**
 * Runs plans with one defect until an invariant catches it. An error that no invariant explains (0) is no catch: it
 * names nothing. A mutant that cannot be planted, or that ends a thread, is not caught, and says why.
 */
export async function tryMutant(name: string, how: Extent): Promise<Verdict> {
  let verdict: Verdict = { name, caught: false, by: null, seed: null, detail: "", isLeft: false };
  let caughtBy: SeedRequest | null = null;
  const own = await planOf(name);
  const requests = [...own, ...seedsFrom(how.from, how.seeds, HOW)];
  let next = 0;
  const running = runSeeds(requests, {
    mutant: name,
    threads: 1,
    // On one thread, results come in the order of what was asked for.
    onResult: ({ failure }) => {
      const request = requests[next++];
      if (request === undefined) return "go_on";
      if (failure === null) {
        if (Date.now() < how.endsAt) return "go_on";
        verdict = { ...verdict, isLeft: true, detail: `its time was over after ${next} plans` };
        return "stop";
      }
      const seed = request.plan === undefined ? request.seed : null;
      if (failure.invariant === 0) {
        const where = seed === null ? "in its plan" : `at seed ${seed}`;
        verdict = { ...verdict, detail: `only as an error, ${where}: ${failure.detail}` };
        return "go_on";
      }
      caughtBy = request;
      const { invariant: by, detail } = failure;
      verdict = { ...verdict, caught: true, by, seed, detail };
      return "stop";
    },
  });
  await running.catch((error: unknown) => {
    verdict = { ...verdict, detail: error instanceof Error ? error.message : String(error) };
  });
  if (caughtBy === null || (await holds(name, caughtBy))) return verdict;
  // A world that breaks by itself is for `npm run sim` to tell: it says nothing of the defect, and the next ones may.
  const following = (verdict.seed ?? Infinity) + 1;
  const left = how.from + how.seeds - following;
  if (left > 0) return tryMutant(name, { ...how, from: following, seeds: left });
  return {
    ...verdict,
    caught: false,
    detail: `what caught it (${whatCaught(verdict)}) breaks without it, too`,
  };
}

/** The plan that it names, as what runs first. */
async function planOf(name: string): Promise<readonly SeedRequest[]> {
  const file = MUTANTS.find((each) => each.name === name)?.plan;
  if (file === undefined) return [];
  const plan = await readPlan(path.join(import.meta.dirname, "regressions", `${file}.json`));
  return [{ seed: 0, path: null, ...HOW, plan }];
}

const healthy = new Map<string, Promise<boolean>>();
/** Whether a plan breaks nothing without a defect: else it was not the defect that it caught. */
function holds(name: string, request: SeedRequest): Promise<boolean> {
  const file = MUTANTS.find((each) => each.name === name)?.plan;
  const key = request.plan === undefined ? String(request.seed) : `plan ${file}`;
  const known = healthy.get(key);
  if (known) return known;
  let held = false;
  const holding = runSeeds([request], {
    threads: 1,
    onResult: ({ failure }) => {
      held = failure === null;
      return "stop";
    },
  }).then(() => held);
  healthy.set(key, holding);
  return holding;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: "" },
      some: { type: "string" },
      seeds: { type: "string", default: "2000" },
      from: { type: "string", default: "1" },
      minutes: { type: "string", default: "Infinity" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const chosen = MUTANTS.map((m) => m.name).filter((name) => name.includes(values.only));
  const some = Number(values.some ?? chosen.length);
  if (!Number.isInteger(some) || some < 1) throw new Error("--some takes a number of mutants");
  const atMostMs = Number(values.minutes) * 60_000;
  if (!(atMostMs > 0)) throw new Error("--minutes takes a number");
  const names = [...sampled("mutants", chosen, some)];
  if (names.length === 0) throw new Error(`no mutant's name has ${values.only}`);
  if (names.length < chosen.length)
    process.stderr.write(`${names.length} of ${chosen.length} mutants, ${drawnBy}\n`);
  const verdicts: Verdict[] = [];
  const lane = async () => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const verdict = await tryMutant(name, {
        from: Number(values.from),
        seeds: Number(values.seeds),
        endsAt: Date.now() + atMostMs,
      });
      verdicts.push(verdict);
      if (!values.json) process.stdout.write(`${inWords(verdict)}\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 8) }, lane));
  if (values.json) process.stdout.write(`${JSON.stringify({ mutants: verdicts })}\n`);
  const caught = verdicts.filter((v) => v.caught).length;
  return verdicts.every((v) => v.caught || v.isLeft) && caught * 3 >= verdicts.length ? 0 : 1;
}

const whatCaught = ({ seed }: Verdict): string =>
  seed === null ? "in its plan" : `at seed ${seed}`;

const inWords = (v: Verdict): string =>
  v.caught
    ? `caught by ${v.by} ${whatCaught(v)}: ${v.name} (${v.detail})`
    : `${v.isLeft ? "left" : "NOT caught"}: ${v.name} (${v.detail})`;

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    process.stderr.write(
      `sim:mutants: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = 2;
  }
}
