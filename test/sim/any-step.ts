import fc from "fast-check";
import type { Suspension } from "#core/billing/suspension.ts";
import type { RepairWay } from "#core/vms/plan-repair.ts";
import type { By, Card, Guest, Lie, Loss, Power, RepeatedBody, Step, Strike } from "./plan.ts";

/* Single steps, each by itself: what anybody does at any time. */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const gapMs = fc.constantFrom(
  0,
  0,
  50,
  400,
  3 * SECOND,
  3 * SECOND,
  20 * SECOND,
  20 * SECOND,
  2 * MINUTE,
  8 * MINUTE,
);
export const gapSteps = fc.constantFrom(0, 0, 0, 1, 4, 15, 40, 90);
/** Of the scheduler's steps, until something strikes. */
export const inSteps = fc.constantFrom(0, 3, 10, 30, 80);
export const gap = { gapMs, gapSteps };
export const index = fc.nat(5);
export const by = fc.constantFrom<By>("owner", "owner", "staff");

export const order = fc.record({
  do: fc.constant("order" as const),
  ...gap,
  who: fc.nat(1),
  plan: fc.constantFrom(0, 0, 1),
  image: fc.constantFrom(0, 0, 1),
  interval: fc.constantFrom("month" as const, "month" as const, "year" as const),
  double: fc.boolean(),
  card: fc.constantFrom<Card | null>(
    "good",
    "good",
    "good",
    "good",
    "good",
    "good",
    "fails_later",
    "fails_later",
    "declined",
    "insufficient",
    null,
  ),
  guest: fc.constantFrom<Guest>("honest", "honest", "honest", "renamed", "mute", "restless"),
  payAfterMs: fc.constantFrom(
    0,
    0,
    0,
    0,
    0,
    0,
    5 * SECOND,
    5 * SECOND,
    5 * SECOND,
    60 * SECOND,
    28 * MINUTE,
    33 * MINUTE,
  ),
  trial: fc.constantFrom(false, false, false, true),
});
export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: order },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("repeat_order" as const),
      ...gap,
      order: index,
      body: fc.constantFrom<RepeatedBody>("same", "other", "second_click", "second_click"),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant("act" as const),
      ...gap,
      vm: index,
      type: fc.constantFrom<Power>(
        "start",
        "start",
        "shutdown",
        "stop",
        "reboot",
        "reboot",
        "reset",
        "reset",
      ),
      by,
      double: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("delete" as const),
      ...gap,
      vm: index,
      by,
      double: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("call_off" as const),
      ...gap,
      vm: index,
      abandon: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("snoop" as const), ...gap, vm: index }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("lie" as const),
      ...gap,
      host: fc.nat(1),
      vm: index,
      lie: fc.constantFrom<Lie>(
        "gone",
        "running",
        "other_epoch",
        "later_generation",
        "usage",
        "size",
        "size",
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("replay" as const),
      ...gap,
      host: fc.nat(1),
      back: fc.integer({ min: 0, max: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("set_clock" as const),
      ...gap,
      host: fc.nat(1),
      aheadMs: fc.constantFrom(
        0,
        20 * SECOND,
        45 * SECOND,
        -45 * SECOND,
        20 * MINUTE,
        -20 * MINUTE,
        180 * MINUTE,
        -180 * MINUTE,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("remove_image" as const),
      ...gap,
      host: fc.nat(1),
      image: fc.nat(1),
      forMs: fc.constantFrom(5 * MINUTE, 200 * MINUTE, 600 * MINUTE),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("strike" as const),
      ...gap,
      vm: index,
      what: fc.array(fc.constantFrom<Strike>("powers_off", "pauses", "fails"), {
        minLength: 1,
        maxLength: 4,
        size: "max",
      }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("plant" as const), ...gap, order: index }) },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant("lose" as const),
      ...gap,
      vm: index,
      what: fc.constantFrom<Loss>("definition", "all", "trash"),
      days: fc.constantFrom(0, 1, 2, 4, 33),
      repair: fc.constantFrom<RepairWay | null>(
        "adopt_disk",
        "restore_trash",
        "recreate",
        "recreate",
        "give_up",
        null,
      ),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("suspend" as const),
      ...gap,
      vm: index,
      reason: fc.constantFrom<Suspension>("staff", "abuse"),
      days: fc.constantFrom(0, 0, 0, 33),
      lift: fc.boolean(),
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
      do: fc.constant("vanish" as const),
      ...gap,
      host: fc.nat(1),
      forMs: fc.constantFrom(30 * SECOND, 30 * SECOND, 8 * MINUTE, 8 * MINUTE, 150 * MINUTE),
      inSteps,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("old_agent" as const),
      ...gap,
      host: fc.nat(1),
      forMs: fc.constantFrom(30 * SECOND, 8 * MINUTE, 40 * MINUTE, 150 * MINUTE),
      inSteps,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("fill_disk" as const),
      ...gap,
      host: fc.nat(1),
      forMs: fc.constantFrom(30 * SECOND, 15 * MINUTE),
      inSteps,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("fail_renewals" as const),
      ...gap,
      who: fc.nat(1),
      count: fc.integer({ min: 1, max: 9 }),
      // Mostly until the month is over, so that there is a renewal to decline; now and then until what is owed has ended, or is deleted.
      days: fc.constantFrom(0, 33, 36, 36, 52, 84),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("cancel_at_provider" as const), ...gap, vm: index }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("revive" as const),
      ...gap,
      vm: index,
      double: fc.boolean(),
      payAfterMs: fc.constantFrom(0, 30 * SECOND, 50 * MINUTE, 70 * MINUTE),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("change_plan" as const),
      ...gap,
      plan: fc.constantFrom(0, 0, 1),
      by: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("jump" as const),
      ...gap,
      days: fc.constantFrom(1, 4, 8, 33),
      strideHours: fc.constantFrom(24, 40, 72),
    }),
  },
);
