import { availableParallelism } from "node:os";
import path from "node:path";
import { defineConfig } from "vitest/config";
import { extent, LONG } from "./test/harness/extent.ts";

const POSTGRES = "./test/harness/postgres-setup.ts";
const STRIPE_JUDGE = "./test/harness/judge-setup.ts";
const JUDGED = "./test/harness/judged-setup.ts";

// Many processes load the same: what Node stripped of its types and compiled once is not compiled again.
process.env["NODE_COMPILE_CACHE"] ??= path.join(import.meta.dirname, ".cache/compiled");
// Vitest may read this more than once.
if (process.env["BERTH_TEST_TOLD"] === undefined) process.stderr.write(`${extent}\n`);
process.env["BERTH_TEST_TOLD"] = "1";

/** Where `.ci/run` wants the results as data, besides what is printed. */
const report = process.env["BERTH_TEST_REPORT"];

/** Projects by what they need. `npm test` runs those that need nothing but npm (see package.json). */
export default defineConfig({
  test: {
    // Much of the time of many tests goes by in waiting for a process or for Postgres; vitest's own choice is one fewer
    // than there are cores.
    maxWorkers: Math.max(3, availableParallelism()),
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]],
    projects: [
      project(
        "unit",
        [
          "core/**/*.test.ts",
          "adapters/**/*.test.ts",
          "host-agent/**/*.test.ts",
          "cli/**/*.test.ts",
          "local/**/*.test.ts",
          "test/unit/**/*.test.ts",
        ],
        { ...within(300), ...sharing(JUDGED), globalSetup: [STRIPE_JUDGE] },
      ),
      project("db", ["test/db/**/*.test.ts"], {
        ...within(600),
        ...sharing(JUDGED),
        globalSetup: [POSTGRES, STRIPE_JUDGE],
      }),
      project("drivers", ["test/drivers/**/*.test.ts"], { ...within(600), ...sharing() }),
      project("e2e", ["test/e2e/**/*.test.ts"], { ...within(900), ...sharing() }),
      // Modules are replaced here, which a process that has loaded them already would not notice.
      project("compat", ["test/compat/**/*.test.ts"], {
        ...within(900),
        setupFiles: [JUDGED],
        globalSetup: [POSTGRES, STRIPE_JUDGE],
      }),
      project("sim", ["test/sim/**/*.test.ts"], within(1800)),
      // In one process, so that the CDK is loaded and the stages are synthesised once; vitest wants it to have its own
      // turn then, after the others.
      project("cdk", ["test/cdk/**/*.test.ts"], {
        ...within(600),
        isolate: false,
        fileParallelism: false,
        sequence: { groupOrder: 1 },
      }),
      project("kvm", ["test/kvm/**/*.test.ts"], {
        ...within(1800),
        globalSetup: ["./test/kvm/global-setup.ts"],
      }),
      // Promtool, of Debian's package `prometheus`.
      project("ops", ["test/ops/**/*.test.ts"], within(300)),
      // The kills of `kills.test.ts`, whole, are eight minutes.
      project("hyperv", ["test/hyperv/**/*.test.ts"], within(5400)),
    ],
  },
});

/**
 * How long a test may take, and a hook: ten times what is usual and more, since a machine may be slow and do other
 * work beside. A limit ends what hangs; nothing is told by it, and nothing is tried again.
 */
function within(seconds: number) {
  return { testTimeout: seconds * 1000, hookTimeout: seconds * 1000 };
}

/**
 * Files follow one another in a few processes (ADR 0041): to load what all of them import costs more than most files'
 * tests. `traces-setup.ts` fails a file that would change what the next one finds; in the whole run each has a process of
 * its own all the same.
 */
function sharing(...setupFiles: string[]) {
  return { isolate: LONG, setupFiles: ["./test/harness/traces-setup.ts", ...setupFiles] };
}

function project(name: string, include: string[], more: Record<string, unknown> = {}) {
  // The lint rules' planted files are no tests, whatever their names.
  return { test: { name, include, exclude: ["**/node_modules/**", "**/__lint__/**"], ...more } };
}
