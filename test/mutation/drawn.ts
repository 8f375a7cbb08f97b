import { readFileSync } from "node:fs";
import { type Checker, type CheckResult, CheckStatus } from "@stryker-mutator/api/check";
import type { Mutant } from "@stryker-mutator/api/core";
import { declareValuePlugin, PluginKind } from "@stryker-mutator/api/plugin";
import { z } from "zod";
import { placeOf } from "./mutant-place.ts";

/** Where the drawn mutants' places are, as a JSON array. Stryker starts checkers in processes of their own. */
const drawn = new Set(
  z
    .array(z.string())
    .parse(JSON.parse(readFileSync(process.env["BERTH_MUTATE_DRAWN"] ?? "", "utf8"))),
);

/** Passes the mutants that were drawn, and no other. */
const checker: Checker = {
  init: () => Promise.resolve(),
  check: (mutants: Mutant[]) =>
    Promise.resolve(Object.fromEntries(mutants.map((mutant) => [mutant.id, verdictOn(mutant)]))),
  group: (mutants: Mutant[]) => Promise.resolve([mutants.map(({ id }) => id)]),
};

function verdictOn(mutant: Mutant): CheckResult {
  if (drawn.has(placeOf(mutant))) return { status: CheckStatus.Passed };
  return { status: CheckStatus.CompileError, reason: "not drawn" };
}

export const strykerPlugins = [declareValuePlugin(PluginKind.Checker, "drawn", checker)];
