import { defineConfig } from "vitest/config";
import { AREAS } from "./areas.ts";

const area = AREAS[process.env["BERTH_MUTATE_AREA"] ?? ""];
if (area === undefined)
  throw new Error("BERTH_MUTATE_AREA names no area: npm run mutate -- <area>");

/** One area's tests, as Stryker runs them: Stripe's judge has its turn in `npm test`. */
export default defineConfig({
  test: {
    include: [...area.tests],
    // A mutant of what is done when a file loads shows only where the file loads anew: with `isolate: false` it survives,
    // whatever the tests.
    isolate: true,
    exclude: ["**/node_modules/**", "**/__lint__/**"],
    globalSetup: area.postgres ? ["./test/harness/postgres-setup.ts"] : [],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
