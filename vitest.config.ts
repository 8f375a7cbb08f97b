import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

const withPostgres = { globalSetup: ["./test/harness/postgres-setup.ts"] };
const STRIPE_JUDGE = "./test/harness/judge-setup.ts";

/** Where `.ci/run` wants the results as data, besides what is printed. */
const report = process.env["BERTH_TEST_REPORT"];

/**
 * Real guests under emulation and whole stacks in real time are at the mercy of whatever else a machine does: in CI
 * such a test may be tried again (the report says so), and everything in memory may not.
 */
const realTime = process.env["CI"] === undefined ? {} : { retry: 2 };

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
          "host-agent/**/*.test.ts",
          "local/**/*.test.ts",
          "test/unit/**/*.test.ts",
        ],
        { globalSetup: [STRIPE_JUDGE] },
      ),
      project("db", ["test/db/**/*.test.ts"], {
        testTimeout: 30_000,
        hookTimeout: 60_000,
        globalSetup: [...withPostgres.globalSetup, STRIPE_JUDGE],
      }),
      project("drivers", ["test/drivers/**/*.test.ts"], { testTimeout: 30_000 }),
      project("e2e", ["test/e2e/**/*.test.ts", "test/compat/**/*.test.ts"], {
        testTimeout: 60_000,
        hookTimeout: 90_000,
        ...withPostgres,
        ...realTime,
      }),
      project("sim", ["test/sim/**/*.test.ts"], { testTimeout: 300_000 }),
      project("cdk", ["test/cdk/**/*.test.ts"], { testTimeout: 120_000, hookTimeout: 120_000 }),
      project("kvm", ["test/kvm/**/*.test.ts"], {
        testTimeout: 300_000,
        hookTimeout: 300_000,
        globalSetup: ["./test/kvm/global-setup.ts"],
        ...realTime,
      }),
      project("hyperv", ["test/hyperv/**/*.test.ts"], {
        testTimeout: 300_000,
        hookTimeout: 300_000,
        ...realTime,
      }),
    ],
  },
});

function project(name: string, include: string[], more: Record<string, unknown> = {}) {
  // The lint rules' planted files are no tests, whatever their names.
  return { test: { name, include, exclude: ["**/node_modules/**", "**/__lint__/**"], ...more } };
}
