import fc from "fast-check";
import type { Suspension } from "#core/billing/suspension.ts";
import { by, gap, gapSteps, index, inSteps, MINUTE, order, SECOND } from "./any-step.ts";
import type { AfterTaken, OnFile, Power, Step } from "./plan.ts";

/* What a plan may begin with: VMs that are delivered, what is asked of them, and what strikes in the middle of it. */

/** Another size, or another interval: both at once are two changes. */
const wanted = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ to: fc.integer({ min: 1, max: 2 }), interval: fc.constant(null) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      to: fc.constant(0),
      interval: fc.constantFrom("month" as const, "year" as const, "year" as const),
    }),
  },
);
const resized = {
  // Most are over by what comes after; some are not.
  gapMs: fc.constantFrom(0, 3 * SECOND, 2 * MINUTE, 8 * MINUTE, 8 * MINUTE),
  gapSteps,
  vm: index,
  keepDisk: fc.boolean(),
};
/** A resize, and what of the hosts or of time hits it in the middle. */
const resize: fc.Arbitrary<readonly Step[]> = fc
  .tuple(
    wanted,
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant("resize" as const),
          ...resized,
          double: fc.boolean(),
          onFile: fc.constantFrom<OnFile | null>(null, null, null, "good", "asks", "declines"),
          next: fc.constantFrom<AfterTaken>(
            "wait",
            "wait",
            "confirm",
            "confirm",
            "refuse",
            "other_card",
            "drop",
            "another",
            "delete",
          ),
          nextAfterMs: fc.constantFrom(0, 0, 5 * SECOND, 90 * SECOND, 70 * MINUTE),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant("resize_by_staff" as const),
          ...resized,
          when: fc.constantFrom("now" as const, "now" as const, "renewal" as const),
          billing: fc.constantFrom("prorate" as const, "none" as const),
        }),
      },
    ),
    fc.oneof(
      { weight: 4, arbitrary: fc.constant(null) },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant("vanish" as const),
          ...gap,
          host: fc.nat(1),
          forMs: fc.constantFrom(8 * MINUTE, 150 * MINUTE),
          inSteps,
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant("jump" as const),
          ...gap,
          days: fc.constantFrom(1, 4, 33),
          strideHours: fc.constant(72),
        }),
      },
    ),
  )
  .map(([to, how, hit]) => [{ ...how, ...to }, ...(hit === null ? [] : [hit])]);

/**
 * Before all else, in one plan of three: a VM that is delivered, and what is asked of it. Everything that comes after strikes
 * in the middle of that. Later in a plan few VMs live for long enough.
 */
export const resizes: fc.Arbitrary<readonly Step[]> = fc.oneof(
  // A failure that takes none of them is shrunk to a plan without.
  { withCrossShrink: true },
  { weight: 2, arbitrary: fc.constant([]) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        order.map((each) => ({
          ...each,
          plan: 0,
          card: "good" as const,
          guest: "honest" as const,
          payAfterMs: 0,
          gapMs: 3 * MINUTE,
        })),
        fc.array(resize, { minLength: 1, maxLength: 2, size: "max" }),
      )
      .map(([first, asked]) => [first, ...asked.flat()]),
  },
);

/** What strikes while a VM moves, beside all that strikes by chance. */
const struckMove: fc.Arbitrary<readonly Step[]> = fc
  .tuple(
    fc.record({
      do: fc.constant("move" as const),
      gapMs: fc.constantFrom(0, 0, 3 * SECOND, 3 * SECOND, 20 * SECOND, 2 * MINUTE),
      gapSteps,
      vm: index,
      named: fc.boolean(),
      double: fc.boolean(),
      mbitPerSecond: fc.constantFrom(null, null, 100),
      stopAfterMs: fc.constantFrom(null, null, null, 0, 2 * SECOND, 8 * SECOND, 60 * SECOND),
    }),
    fc.oneof(
      { weight: 3, arbitrary: fc.constant(null) },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant("vanish" as const),
          ...gap,
          host: fc.nat(1),
          forMs: fc.constantFrom(30 * SECOND, 8 * MINUTE, 40 * MINUTE),
          inSteps,
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant("cut_power" as const),
          ...gap,
          host: fc.nat(1),
          autostart: fc.boolean(),
          offMs: fc.constantFrom(30 * SECOND, 5 * MINUTE),
          flushed: fc.boolean(),
          inSteps,
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant("delete" as const),
          ...gap,
          vm: fc.constant(0),
          by,
          double: fc.boolean(),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant("suspend" as const),
          ...gap,
          vm: fc.constant(0),
          reason: fc.constantFrom<Suspension>("staff", "abuse"),
          days: fc.constant(0),
          lift: fc.boolean(),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant("act" as const),
          ...gap,
          vm: fc.constant(0),
          type: fc.constantFrom<Power>("start", "stop", "shutdown", "reboot"),
          by,
          double: fc.boolean(),
        }),
      },
    ),
  )
  .map(([move, hit]) => (hit === null ? [move] : [move, hit]));

/** Before all else, in one plan of four: a VM that is delivered, and its moves. */
export const moves: fc.Arbitrary<readonly Step[]> = fc.oneof(
  // A failure that takes none of them is shrunk to a plan without.
  { withCrossShrink: true },
  { weight: 3, arbitrary: fc.constant([]) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        order.map((each) => ({
          ...each,
          plan: 0,
          // Which both hosts hold.
          image: 0,
          card: "good" as const,
          guest: "honest" as const,
          payAfterMs: 0,
          gapMs: 3 * MINUTE,
        })),
        fc.array(struckMove, { minLength: 1, maxLength: 3, size: "max" }),
      )
      .map(([first, asked]) => [first, ...asked.flat()]),
  },
);
