import fc from "fast-check";
import type { Suspension } from "#core/billing/suspension.ts";
import { by, gap, gapSteps, index, inSteps, MINUTE, order, SECOND } from "./any-step.ts";
import type { AfterDrained, MigrationCommand, Power, Step } from "./plan.ts";

/* What staff do to whole hosts and to all VMs of a plan, and what strikes in the middle of it. */

const HOUR = 60 * MINUTE;

/** Of whoever: delivered, and its first boot over before it is asked for anything. */
const delivered = fc
  .tuple(order, fc.nat(1), fc.constantFrom("month" as const, "month" as const, "year" as const))
  .map(([each, who, interval]) => ({
    ...each,
    who,
    interval,
    plan: 0,
    // Which both hosts hold.
    image: 0,
    card: "good" as const,
    guest: "honest" as const,
    payAfterMs: 0,
    gapMs: 3 * MINUTE,
  }));

type Delivered = typeof delivered extends fc.Arbitrary<infer T> ? T : never;
/** Between a VM's first sign of life and its first move. */
const BOOTED_MS = 17 * MINUTE;

/** What of the hosts hits what goes on: one dies, is cut off for hours or days, has another time, an older agent, no room. */
const ofHosts = [
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("vanish" as const),
      ...gap,
      host: fc.nat(1),
      forMs: fc.constantFrom(8 * MINUTE, 150 * MINUTE, 52 * HOUR),
      inSteps,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("cut_power" as const),
      ...gap,
      host: fc.nat(1),
      autostart: fc.boolean(),
      offMs: fc.constantFrom(30 * SECOND, 5 * MINUTE, 40 * MINUTE),
      flushed: fc.boolean(),
      inSteps,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("set_clock" as const),
      ...gap,
      host: fc.nat(1),
      aheadMs: fc.constantFrom(45 * SECOND, -45 * SECOND, 20 * MINUTE, -180 * MINUTE),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("old_agent" as const),
      ...gap,
      host: fc.nat(1),
      forMs: fc.constantFrom(8 * MINUTE, 40 * MINUTE),
      inSteps,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("fill_disk" as const),
      ...gap,
      host: fc.nat(1),
      forMs: fc.constantFrom(30 * SECOND, 15 * MINUTE),
      inSteps,
    }),
  },
] as const;
const ofDays = {
  weight: 2,
  arbitrary: fc.record({
    do: fc.constant("jump" as const),
    ...gap,
    days: fc.constantFrom(1, 4, 33),
    strideHours: fc.constant(72),
  }),
};
const ofOwners = [
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("delete" as const),
      ...gap,
      vm: index,
      by,
      double: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("act" as const),
      ...gap,
      vm: index,
      type: fc.constantFrom<Power>("start", "stop", "shutdown", "reboot"),
      by,
      double: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("suspend" as const),
      ...gap,
      vm: index,
      reason: fc.constantFrom<Suspension>("staff", "abuse"),
      days: fc.constant(0),
      lift: fc.boolean(),
    }),
  },
] as const;
/** What comes to a host that is emptied, or was sold as it was: too late. */
const anotherOrder = { weight: 1, arbitrary: delivered };

const drain = fc.record({
  do: fc.constant("drain" as const),
  gapMs: fc.constantFrom(0, 3 * SECOND, 20 * SECOND, 2 * MINUTE, 8 * MINUTE),
  gapSteps,
  vm: index,
  method: fc.constantFrom("auto" as const, "cold" as const),
  maxParallel: fc.constantFrom(1, 1, 2),
  double: fc.boolean(),
  next: fc.constantFrom<AfterDrained>("wait", "wait", "activate", "cordon", "again", "retire"),
  nextAfterMs: fc.constantFrom(0, 3 * SECOND, 20 * SECOND, 2 * MINUTE, 20 * MINUTE),
});
const maintain = fc.record({
  do: fc.constant("maintain" as const),
  ...gap,
  host: fc.nat(1),
  noticeHours: fc.constantFrom(0, 0, 2, 48),
  inMs: fc.constantFrom(0, 10 * MINUTE),
  lastsMs: fc.constantFrom(30 * MINUTE, 4 * HOUR),
  moved: fc.boolean(),
  end: fc.constantFrom("activate" as const, "cordon" as const, "cancel" as const, null),
  endAfterMs: fc.constantFrom(MINUTE, 20 * MINUTE, 3 * HOUR),
});
const struckDrain: fc.Arbitrary<readonly Step[]> = fc
  .tuple(
    drain,
    fc.array(
      fc.oneof(...ofHosts, ...ofOwners, anotherOrder, ofDays, { weight: 2, arbitrary: maintain }),
      {
        maxLength: 2,
        size: "max",
      },
    ),
  )
  .map(([first, hits]) => [first, ...hits]);

const migratePlans = fc.record({
  do: fc.constant("migrate_plans" as const),
  gapMs: fc.constantFrom(0, 3 * SECOND, 20 * SECOND, 2 * MINUTE, 8 * MINUTE),
  gapSteps,
  from: fc.constantFrom(0, 0, 0, 2),
  to: fc.constantFrom(1, 2, 2),
  when: fc.constantFrom("now" as const, "now" as const, "renewal" as const),
  price: fc.constantFrom("new" as const, "new" as const, "keep" as const),
  maxParallel: fc.constantFrom(1, 1, 2),
  stopAfterFailures: fc.constantFrom(1, 1, 3),
  announceDays: fc.constantFrom(0, 0, 0, 1),
  double: fc.boolean(),
  commands: fc.constantFrom<readonly MigrationCommand[]>(
    [],
    [],
    ["stop"],
    ["pause", "resume"],
    ["pause", "stop"],
    ["retry"],
    ["pause", "retry", "retry"],
  ),
  commandAfterMs: fc.constantFrom(0, 3 * SECOND, 30 * SECOND, 10 * MINUTE, 75 * MINUTE),
});
const struckMigration: fc.Arbitrary<readonly Step[]> = fc
  .tuple(
    migratePlans,
    fc.array(
      fc.oneof(
        ...ofHosts,
        ...ofOwners,
        { weight: 3, arbitrary: ofDays.arbitrary },
        // Of the plan that they come to another version is sold by their turn.
        {
          weight: 2,
          arbitrary: fc.record({
            do: fc.constant("change_plan" as const),
            ...gap,
            plan: fc.constantFrom(0, 1),
            by: fc.integer({ min: 1, max: 3 }),
          }),
        },
        {
          weight: 2,
          arbitrary: fc.record({
            do: fc.constant("move" as const),
            ...gap,
            vm: index,
            named: fc.boolean(),
            double: fc.boolean(),
            mbitPerSecond: fc.constant(null),
            stopAfterMs: fc.constantFrom(null, 8 * SECOND),
          }),
        },
        {
          weight: 2,
          arbitrary: fc.record({
            do: fc.constant("fail_renewals" as const),
            ...gap,
            who: fc.nat(1),
            count: fc.integer({ min: 1, max: 3 }),
            days: fc.constantFrom(0, 33),
          }),
        },
        { weight: 1, arbitrary: drain },
      ),
      { maxLength: 2, size: "max" },
    ),
  )
  .map(([first, hits]) => [first, ...hits]);

/** Before all else, in one plan of `inPlans`: VMs that are delivered, and what is done to them. */
const story = (
  inPlans: number,
  asked: fc.Arbitrary<readonly Step[]>,
): fc.Arbitrary<readonly Step[]> =>
  fc.oneof(
    // A failure that takes none of them is shrunk to a plan without.
    { withCrossShrink: true },
    { weight: inPlans - 1, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          fc.array(delivered, { minLength: 1, maxLength: 3, size: "max" }),
          fc.array(asked, { minLength: 1, maxLength: 2, size: "max" }),
        )
        .map(([first, more]) => [...first.slice(0, -1), bootedSince(first), ...more.flat()]),
    },
  );

/** The last of them, with the time that it takes until all of them have booted: before that nothing is moved. */
const bootedSince = (all: readonly Delivered[]): Delivered => {
  const last = all.at(-1);
  if (last === undefined) throw new Error("a story is of some VMs");
  return { ...last, gapMs: BOOTED_MS };
};

export const drains = story(5, struckDrain);
export const planMigrations = story(5, struckMigration);
