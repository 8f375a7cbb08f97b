import { readFile } from "node:fs/promises";
import { z } from "zod";
import { CHANCE_KINDS } from "./faults.ts";
import { ADDRESSES } from "./fixture.ts";
import { STEP_KINDS, type Plan, type Step } from "./plan.ts";

const Steps = z.array(z.looseObject({ do: z.string(), gapMs: z.number() }));
const Written = z.looseObject({
  /** What the product did wrong, for those that are kept. */
  story: z.string().optional(),
  chance: z.int(),
  kinds: z.array(z.string()),
  steps: Steps,
  addresses: z.int().default(ADDRESSES.length),
  strictWithNewcomers: z.boolean().default(false),
  deafAtTheEnd: z.boolean(),
});
/** What steps of older plans do not say yet. */
const LATER: Record<string, unknown> = {
  gapSteps: 0,
  inSteps: 0,
  days: 0,
  guest: "honest",
  trial: false,
};

const KNOWN: ReadonlySet<string> = new Set(STEP_KINDS);
const isStep = (step: { do: string }): step is Step => KNOWN.has(step.do);

/**
 * A plan that was written down, as a failure prints it. Steps mean what they meant: what was added to them since is
 * left at nothing, and kinds that no longer are switches are left out.
 */
export async function readPlan(file: string | URL): Promise<Plan & { story: string }> {
  const {
    story = "",
    chance,
    kinds,
    steps,
    addresses,
    strictWithNewcomers,
    deafAtTheEnd,
  } = Written.parse(JSON.parse(await readFile(file, "utf8")));
  return {
    story,
    chance,
    kinds: CHANCE_KINDS.filter((kind) => kinds.includes(kind)),
    steps: steps.map((step) => {
      const what = step["what"];
      // One blow, before there were several.
      const blows = step.do === "strike" && typeof what === "string" ? { what: [what] } : {};
      const written = { ...LATER, ...step, ...blows };
      if (!isStep(written)) throw new Error(`there is no step ${step.do}`);
      return written;
    }),
    addresses,
    strictWithNewcomers,
    deafAtTheEnd,
  };
}
