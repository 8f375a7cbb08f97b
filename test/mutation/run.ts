import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import type { MutantResult } from "@stryker-mutator/api/core";
import { Stryker } from "@stryker-mutator/core";
import { drawnBy, sampled, SEED } from "#test/harness/extent.ts";
import { AREAS, type Area } from "./areas.ts";
import { filesOf, mutantsOf } from "./mutants-of.ts";
import { placeOf } from "./mutant-place.ts";

const HELP = `npm run mutate -- <area> [options]

Plants mistakes in one area's code, each by itself, and runs the tests that touch it: what no test notices survived.
Areas: ${Object.keys(AREAS).join(", ")}. In some, mutants are drawn by the day's seed (BERTH_TEST_SEED gives it back).
What was tried before and whose code and tests are as they were is not tried again.

  --only GLOB  only mutants of these files
  --anew       try all again
  --workers N  so many at once (default: one a core)
  --json       print one object
  --help       this

Exit code 1 when the area has a goal and does not reach it.
`;

const root = path.resolve(import.meta.dirname, "../..");

/** What was found in one file, or in all. */
type Count = { caught: number; survived: number; untouched: number };

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: "string" },
      anew: { type: "boolean", default: false },
      workers: { type: "string", default: String(os.availableParallelism()) },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const [name = "", ...more] = positionals;
  const area = AREAS[name];
  if (area === undefined || more.length > 0)
    throw new Error(`give one area: ${Object.keys(AREAS).join(", ")}`);
  const workers = Number(values.workers);
  if (!Number.isInteger(workers) || workers < 1) throw new Error("--workers takes a number from 1");

  const folder = path.join(root, ".cache/mutate");
  await mkdir(folder, { recursive: true });
  process.chdir(root);
  process.env["BERTH_MUTATE_AREA"] = name;
  const mutate = values.only === undefined ? area.mutate : [values.only, "!**/*.test.ts"];
  const drawn = area.drawn === null ? null : await draw({ name, area, folder });
  // Results of another draw are of no use to this one, and a change of the code is another draw: what was not drawn is on
  // record as not tried, and what was would still be counted.
  const remembered = path.join(
    folder,
    `${[name, ...(drawn === null ? [] : [drawn.digest])].join("-")}.json`,
  );

  const results = await new Stryker({
    configFile: "test/mutation/stryker.json",
    mutate: [...mutate],
    checkers: drawn === null ? [] : ["drawn"],
    plugins: ["@stryker-mutator/vitest-runner", ...(drawn === null ? [] : [drawn.checker])],
    incrementalFile: path.relative(root, remembered),
    force: values.anew,
    concurrency: workers,
    reporters: values.json ? [] : ["dots", "html"],
    htmlReporter: { fileName: path.relative(root, path.join(folder, `${name}.html`)) },
  }).runMutationTest();

  // What was remembered of other files comes with it.
  const asked = new Set(filesOf(mutate, root));
  const tried = results.filter((mutant) => wasTried(mutant) && asked.has(fileOf(mutant)));
  if (tried.length === 0) throw new Error("no mutant was tried");
  const total = count(tried);
  const score = scoreOf(total);
  const reached = area.goal === null ? null : score >= area.goal;
  const lived = tried.filter((mutant) => !wasCaught(mutant));
  if (values.json) {
    const files = [...byFile(tried)].map(([file, those]) => ({ file, ...count(those) }));
    const survivors = lived.map((m) => ({
      place: at(m),
      touched: m.status === "Survived",
      mutator: m.mutatorName,
      replacement: m.replacement,
    }));
    process.stdout.write(
      `${JSON.stringify({ area: name, seed: drawn === null ? null : SEED, score, goal: area.goal, reached, ...total, files, survivors })}\n`,
    );
  } else tell({ name, area, tried, lived, score });
  return reached === false ? 1 : 0;
}

/** Draws an area's mutants and writes down which, for the checker at this path that passes no other. */
async function draw(of: {
  name: string;
  area: Area;
  folder: string;
}): Promise<{ checker: string; digest: string }> {
  const all = await mutantsOf(of.area.mutate, root);
  const drawn = sampled(`mutate ${of.name}`, all.map(placeOf), of.area.drawn ?? all.length);
  process.stderr.write(`${drawn.length} of ${all.length} mutants, ${drawnBy}\n`);
  const file = path.join(of.folder, `${of.name}-drawn.json`);
  const list = JSON.stringify(drawn);
  await writeFile(file, list);
  process.env["BERTH_MUTATE_DRAWN"] = file;
  const digest = createHash("sha256").update(list).digest("hex").slice(0, 12);
  return { checker: path.join(import.meta.dirname, "drawn.ts"), digest };
}

/** What does not start, or was not drawn, says nothing of the tests. */
const wasTried = ({ status }: MutantResult) =>
  status === "Killed" || status === "Timeout" || status === "Survived" || status === "NoCoverage";
const wasCaught = ({ status }: MutantResult) => status === "Killed" || status === "Timeout";

function count(mutants: readonly MutantResult[]): Count {
  const caught = mutants.filter(wasCaught).length;
  const untouched = mutants.filter(({ status }) => status === "NoCoverage").length;
  return { caught, survived: mutants.length - caught - untouched, untouched };
}

/** In per cent, of all that were tried. */
function scoreOf({ caught, survived, untouched }: Count): number {
  return Math.round((10_000 * caught) / (caught + survived + untouched)) / 100;
}

function byFile(mutants: readonly MutantResult[]): Map<string, MutantResult[]> {
  return Map.groupBy(mutants, fileOf);
}

const fileOf = ({ fileName }: MutantResult) => path.relative(root, path.resolve(root, fileName));
const at = (mutant: MutantResult) =>
  `${fileOf(mutant)}:${mutant.location.start.line}:${mutant.location.start.column}`;

function tell(ran: {
  name: string;
  area: Area;
  tried: readonly MutantResult[];
  lived: readonly MutantResult[];
  score: number;
}): void {
  const lines = ["", ...[...byFile(ran.tried)].map(([file, those]) => `${row(those)}  ${file}`)];
  lines.push(`${row(ran.tried)}  ${ran.name}`, "");
  for (const mutant of ran.lived)
    lines.push(
      `${mutant.status === "Survived" ? "survived" : "no test "} ${at(mutant)} ${mutant.mutatorName}: ${oneLine(mutant.replacement ?? "")}`,
    );
  const goal = ran.area.goal === null ? "" : `, goal ${ran.area.goal} %`;
  lines.push("", `${ran.name}: ${ran.score} % of ${ran.tried.length} caught${goal}`, "");
  process.stdout.write(lines.join("\n"));
}

function row(mutants: readonly MutantResult[]): string {
  const counted = count(mutants);
  return `${scoreOf(counted).toFixed(1).padStart(5)} %  ${String(counted.caught).padStart(4)} caught ${String(counted.survived).padStart(4)} survived ${String(counted.untouched).padStart(4)} no test`;
}

const oneLine = (text: string) => text.replaceAll(/\s+/g, " ").slice(0, 100);

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    process.stderr.write(`mutate: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}
