import fc from "fast-check";
import { FAULT_KINDS, type FaultKind } from "./faults.ts";

/** What a person, a host or the provider does next in a run, and how long it is until the step after it. */
export type Step = Readonly<{ gapMs: number }> &
  (
    | Readonly<{
        do: "order";
        who: number;
        plan: number;
        image: number;
        interval: "month" | "year";
        double: boolean;
        /** null: it is never paid. */
        card: Card | null;
        payAfterMs: number;
      }>
    | Readonly<{ do: "repeat_order"; order: number; body: "same" | "other" }>
    | Readonly<{ do: "act"; vm: number; type: Power; by: By; double: boolean }>
    | Readonly<{ do: "delete"; vm: number; by: By; double: boolean }>
    | Readonly<{ do: "snoop"; vm: number }>
    | Readonly<{ do: "lie"; host: number; vm: number; lie: Lie }>
    | Readonly<{ do: "strike"; vm: number; what: "powers_off" | "pauses" | "fails" }>
    | Readonly<{ do: "plant"; order: number }>
    | Readonly<{
        do: "cut_power";
        host: number;
        autostart: boolean;
        offMs: number;
        flushed: boolean;
      }>
    | Readonly<{ do: "vanish"; host: number; forMs: number }>
    | Readonly<{ do: "fill_disk"; host: number; forMs: number }>
    | Readonly<{ do: "fail_renewals"; who: number; count: number }>
    | Readonly<{ do: "cancel_at_provider"; vm: number }>
    | Readonly<{ do: "jump"; days: number; strideHours: number }>
  );
export type Card = "good" | "declined" | "insufficient" | "fails_later";
export type Power = "start" | "shutdown" | "stop" | "reboot" | "reset";
export type By = "owner" | "staff";
export type Lie = "gone" | "running" | "other_epoch" | "later_generation" | "usage";

export type Plan = Readonly<{
  /** What the dice of the run are seeded with. */
  chance: number;
  kinds: readonly FaultKind[];
  steps: readonly Step[];
  /** In the end everything must come to rest without a single doorbell. */
  deafAtTheEnd: boolean;
}>;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const gapMs = fc.constantFrom(
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
const index = fc.nat(5);
const by = fc.constantFrom<By>("owner", "owner", "staff");

const order = fc.record({
  do: fc.constant("order" as const),
  gapMs,
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
    "fails_later",
    "declined",
    "insufficient",
    null,
  ),
  payAfterMs: fc.constantFrom(
    0,
    0,
    0,
    0,
    0,
    5 * SECOND,
    5 * SECOND,
    60 * SECOND,
    28 * MINUTE,
    33 * MINUTE,
  ),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: order },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("repeat_order" as const),
      gapMs,
      order: index,
      body: fc.constantFrom("same" as const, "other" as const),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("act" as const),
      gapMs,
      vm: index,
      type: fc.constantFrom<Power>("start", "shutdown", "stop", "reboot", "reset"),
      by,
      double: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("delete" as const),
      gapMs,
      vm: index,
      by,
      double: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("snoop" as const), gapMs, vm: index }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("lie" as const),
      gapMs,
      host: fc.nat(1),
      vm: index,
      lie: fc.constantFrom<Lie>("gone", "running", "other_epoch", "later_generation", "usage"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("strike" as const),
      gapMs,
      vm: index,
      what: fc.constantFrom("powers_off" as const, "pauses" as const, "fails" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("plant" as const), gapMs, order: index }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("cut_power" as const),
      gapMs,
      host: fc.nat(1),
      autostart: fc.boolean(),
      offMs: fc.constantFrom(30 * SECOND, 5 * MINUTE, 40 * MINUTE),
      flushed: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("vanish" as const),
      gapMs,
      host: fc.nat(1),
      forMs: fc.constantFrom(30 * SECOND, 30 * SECOND, 8 * MINUTE, 8 * MINUTE, 150 * MINUTE),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("fill_disk" as const),
      gapMs,
      host: fc.nat(1),
      forMs: fc.constantFrom(30 * SECOND, 15 * MINUTE),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("fail_renewals" as const),
      gapMs,
      who: fc.nat(1),
      count: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("cancel_at_provider" as const), gapMs, vm: index }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("jump" as const),
      gapMs,
      days: fc.constantFrom(1, 4, 8, 33),
      strideHours: fc.constantFrom(24, 40, 72),
    }),
  },
);

/** A run: some steps, about half of the kinds of faults, and a seed for what is left to chance. */
export const planArbitrary: fc.Arbitrary<Plan> = fc.record({
  chance: fc.nat(0x7fff_ffff),
  kinds: fc.subarray([...FAULT_KINDS], { minLength: 0 }),
  steps: fc
    .tuple(
      // Without an order nothing happens; most plans begin with one that is paid.
      order.map((each) => ({
        ...each,
        card: each.card ?? "good",
        gapMs: Math.max(each.gapMs, 3 * SECOND),
      })),
      fc.array(step, { maxLength: 12, size: "max" }),
    )
    .map(([begin, more]) => [begin, ...more]),
  deafAtTheEnd: fc.boolean(),
});
