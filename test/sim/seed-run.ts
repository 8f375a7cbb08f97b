import fc from "fast-check";
import { planArbitrary } from "./any-plan.ts";
import type { Plan } from "./plan.ts";
import { SimPostgres } from "./postgres.ts";
import { simulate, type Outcome } from "./simulate.ts";
import { takeOverGlobals } from "./virtual-globals.ts";

/** Plans that are tried to make a failing one smaller. Each costs a run. */
const MOST_SHRINKS = 120;

export type SeedResult = Readonly<{
  seed: number;
  steps: number;
  faults: Readonly<Record<string, number>>;
  orders: Readonly<Record<string, number>>;
  traceHash: string;
  trace: readonly string[];
  failure: Failure | null;
}>;
export type Failure = Readonly<{
  invariant: number;
  detail: string;
  /** Where fast-check finds the smallest plan that fails, and that plan. */
  path: string;
  plan: Plan;
}>;
export type SeedRequest = Readonly<{
  seed: number;
  /** A smaller plan of this seed's, as a failure named it. */
  path: string | null;
  shrink: boolean;
  keepTrace: boolean;
  /** This very plan, whatever the seed's own would be. */
  plan?: Plan;
}>;

/** Makes what runs seeds in this thread, on a prepared database. */
export async function createSeedRunner(
  database: string,
): Promise<(request: SeedRequest) => Promise<SeedResult>> {
  takeOverGlobals();
  const postgres = await SimPostgres.start(database);

  return async ({ seed, path, shrink, keepTrace, plan: given }) => {
    if (given !== undefined)
      return resultOf(seed, await simulate(given, { postgres, keepTrace }), given);
    const outcomes: Outcome[] = [];
    const property = fc.asyncProperty(planArbitrary, async (plan) => {
      if (outcomes.length > MOST_SHRINKS) return true;
      const outcome = await simulate(plan, { postgres, keepTrace });
      outcomes.push(outcome);
      return outcome.violation === null;
    });
    const checked = await fc.check(property, {
      seed,
      numRuns: 1,
      // The first runs are else biased towards small values: few steps, no faults, chance 0 to 30.
      unbiased: true,
      endOnFailure: !shrink,
      ...(path === null ? {} : { path }),
    });
    const [outcome] = outcomes;
    if (outcome === undefined) throw new Error("fast-check ran no plan at all");
    const broken = outcomes.findLast((each) => each.violation !== null)?.violation ?? null;
    const [plan] = checked.counterexample ?? [];
    return {
      ...resultOf(seed, outcome, null),
      failure:
        broken === null || plan === undefined
          ? null
          : { ...broken, path: checked.counterexamplePath ?? "0", plan },
    };
  };
}

const resultOf = (seed: number, outcome: Outcome, plan: Plan | null): SeedResult => ({
  seed,
  steps: outcome.steps,
  faults: Object.fromEntries(outcome.faults),
  orders: outcome.orders,
  traceHash: outcome.traceHash,
  trace: outcome.trace,
  failure: plan && outcome.violation && { ...outcome.violation, path: "0", plan },
});
