/**
 * Adds up what the suites of a CI run came to, and prints it: `node scripts/ci-summary.ts FOLDER SUITE… [--whole SUITE]
 * [--failed STEP]`. FOLDER holds a report for each suite, `SUITE.json`. A suite without a report did not run, and one
 * in which nothing ran proves nothing: both count as failed. So does each failed step, and each test file of a suite
 * that must be whole of which every test was skipped. The last line is `N passed, N failed, N skipped`; exit code 1 when anything failed.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    whole: { type: "string", multiple: true, default: [] },
    failed: { type: "string", multiple: true, default: [] },
  },
});
const [folder, ...suites] = positionals;
if (folder === undefined || suites.length === 0) throw new Error("name the folder and the suites");

type Counts = { passed: number; failed: number; skipped: number };
/** `idle`: the test files of which every test was skipped. */
type Suite = Counts & { idle: string[] };

/** As vitest's JSON reporter writes it. A file that does not load is a failed suite without a failed test. */
const OfVitest = z
  .object({
    numPassedTests: z.int(),
    numFailedTests: z.int(),
    numPendingTests: z.int(),
    numTodoTests: z.int(),
    success: z.boolean(),
    testResults: z.array(
      z.object({
        name: z.string(),
        assertionResults: z.array(z.object({ status: z.string() })),
      }),
    ),
  })
  .transform((r): Suite => ({
    passed: r.numPassedTests,
    failed: r.success ? r.numFailedTests : Math.max(1, r.numFailedTests),
    skipped: r.numPendingTests + r.numTodoTests,
    idle: r.testResults
      .filter((f) =>
        f.assertionResults.every((t) => t.status !== "passed" && t.status !== "failed"),
      )
      .map((f) => path.relative(process.cwd(), f.name)),
  }));
/** As `test/hyperv/run.ts` writes it. */
const OfOurs = z
  .object({ passed: z.int(), failed: z.int(), skipped: z.int() })
  .transform((r): Suite => ({ ...r, idle: [] }));
const Report = z.union([OfVitest, OfOurs]);

/** undefined when there is no report, or one that was cut short. */
function reportOf(suite: string): Suite | undefined {
  try {
    const text = readFileSync(path.join(folder ?? "", `${suite}.json`), "utf8");
    return Report.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const failedSuites = new Set<string>();
const say = (line: string) => process.stdout.write(`${line}\n`);
const words = (c: Counts) => `${c.passed} passed, ${c.failed} failed, ${c.skipped} skipped`;

for (const suite of suites) {
  const came = reportOf(suite);
  if (came === undefined || came.passed + came.failed === 0) {
    say(`${suite.padEnd(8)} did not run`);
    total.failed++;
    failedSuites.add(suite);
    continue;
  }
  say(`${suite.padEnd(8)} ${words(came)}`);
  const idle = values.whole.includes(suite) ? came.idle : [];
  for (const file of idle) say(`${suite.padEnd(8)} ${file} must run here, and was skipped`);
  total.passed += came.passed;
  total.failed += came.failed + idle.length;
  if (came.failed + idle.length > 0) failedSuites.add(suite);
  total.skipped += came.skipped;
}
for (const step of values.failed) {
  say(`${step} FAILED`);
  // A suite that failed by its tests is counted; one that failed although they passed is not yet.
  if (!failedSuites.has(step)) total.failed++;
}
say(words(total));
process.exitCode = total.failed === 0 ? 0 : 1;
