import fc from "fast-check";
import { anyStep, gap, MINUTE, order, SECOND } from "./any-step.ts";
import { moves, resizes } from "./any-story.ts";
import { drains, planMigrations } from "./any-work.ts";
import { CHANCE_KINDS, type ChanceKind } from "./faults.ts";
import type { Plan } from "./plan.ts";

/** The database goes back to an earlier state, before so many of the plan's last steps. */
const restore = fc.record({
  beforeLast: fc.nat(5),
  step: fc.record({
    do: fc.constant("restore" as const),
    ...gap,
    agoMs: fc.constantFrom(2 * MINUTE, 10 * MINUTE, 60 * MINUTE, 60 * MINUTE),
    saidInMs: fc.constantFrom(0, 30 * SECOND, 5 * MINUTE, 20 * MINUTE),
    dieAt: fc.constantFrom(null, null, 2, 4, 6),
    againInMs: fc.constantFrom(null, 0, 90 * SECOND),
  }),
});
/** Of so many plans one has a restore: more would find little else, as a restore ends the hour before it. */
const RESTORES_IN = 5;

/** A kind that shows only when two others meet is drawn from twice, so that it is in three plans of four. */
const DRAWN_FROM: readonly ChanceKind[] = [...CHANCE_KINDS, "doorbell.reordered"];

/** A run: some steps, about half of the kinds of faults, and a seed for what is left to chance. */
export const planArbitrary: fc.Arbitrary<Plan> = fc
  .record({
    chance: fc.nat(0x7fff_ffff),
    kinds: fc.subarray([...DRAWN_FROM]).map((kinds) => [...new Set(kinds)]),
    steps: fc
      .tuple(
        // Without an order nothing happens; most plans begin with one that is paid.
        order.map((each) => ({
          ...each,
          card: each.card ?? "good",
          gapMs: Math.max(each.gapMs, 3 * SECOND),
        })),
        fc.array(anyStep, { minLength: 4, maxLength: 15, size: "max" }),
      )
      .map(([begin, more]) => [begin, ...more]),
    addresses: fc.constantFrom(1, 2, 2, 3, 5),
    strictWithNewcomers: fc.constantFrom(false, false, true),
    deafAtTheEnd: fc.boolean(),
    // Drawn last, so that a seed without one is the plan that it was before there were any.
    restored: fc.oneof(
      { weight: RESTORES_IN - 1, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: restore },
    ),
    // Likewise.
    resizes,
    moves,
    drains,
    planMigrations,
  })
  .map(
    ({
      restored,
      resizes: asked,
      moves: moved,
      drains: emptied,
      planMigrations: migrated,
      ...plan
    }) => {
      const steps = [...migrated, ...emptied, ...moved, ...asked, ...plan.steps];
      return restored === null
        ? { ...plan, steps }
        : { ...plan, steps: steps.toSpliced(steps.length - restored.beforeLast, 0, restored.step) };
    },
  );
