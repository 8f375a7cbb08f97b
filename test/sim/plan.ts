import fc from "fast-check";
import type { Suspension } from "#core/billing/suspension.ts";
import type { RepairWay } from "#core/vms/plan-repair.ts";
import { CHANCE_KINDS, type ChanceKind } from "./faults.ts";

/**
 * What a person, a host or the provider does next in a run, and how long it is until the step after it: so much time,
 * and then so many of the scheduler's own steps, so that the next one lands in the middle of whatever is under way.
 */
export type Step = Readonly<{ gapMs: number; gapSteps: number }> &
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
        /** Who will sit in the VM. */
        guest: Guest;
        payAfterMs: number;
      }>
    | Readonly<{ do: "repeat_order"; order: number; body: RepeatedBody }>
    | Readonly<{ do: "act"; vm: number; type: Power; by: By; double: boolean }>
    | Readonly<{ do: "delete"; vm: number; by: By; double: boolean }>
    | Readonly<{ do: "call_off"; vm: number; abandon: boolean }>
    | Readonly<{ do: "snoop"; vm: number }>
    | Readonly<{ do: "lie"; host: number; vm: number; lie: Lie }>
    | Readonly<{ do: "replay"; host: number; back: number }>
    | Readonly<{ do: "set_clock"; host: number; aheadMs: number }>
    | Readonly<{ do: "remove_image"; host: number; image: number; forMs: number }>
    | Readonly<{ do: "strike"; vm: number; what: readonly Strike[] }>
    | Readonly<{ do: "plant"; order: number }>
    | Readonly<{
        do: "lose";
        vm: number;
        what: Loss;
        /** So long nobody does anything about it. */
        days: number;
        /** null: nobody ever does. */
        repair: RepairWay | null;
      }>
    | Readonly<{
        do: "suspend";
        vm: number;
        reason: Suspension;
        /** So long it stays so. */
        days: number;
        /** False: nobody ever lifts it. */
        lift: boolean;
      }>
    | Readonly<{
        do: "cut_power";
        host: number;
        autostart: boolean;
        offMs: number;
        flushed: boolean;
        /** The power goes after so many of the scheduler's steps: in the middle of what its agent does. */
        inSteps: number;
      }>
    | Readonly<{ do: "vanish"; host: number; forMs: number; inSteps: number }>
    | Readonly<{ do: "old_agent"; host: number; forMs: number; inSteps: number }>
    | Readonly<{ do: "fill_disk"; host: number; forMs: number; inSteps: number }>
    | Readonly<{ do: "fail_renewals"; who: number; count: number; days: number }>
    | Readonly<{ do: "cancel_at_provider"; vm: number }>
    | Readonly<{ do: "change_plan"; plan: number; by: number }>
    | Resize
    | ResizeByStaff
    | Move
    | Readonly<{ do: "jump"; days: number; strideHours: number }>
    | Readonly<{
        do: "restore";
        /** To the oldest state between two steps of the plan that is no older than this. */
        agoMs: number;
        /** So long staff do not say it: agents refuse what they are given, and tell of what nobody knows. */
        saidInMs: number;
        /** The first that say it are killed after so many of the things that it does to the outside; null: they live. */
        dieAt: number | null;
        /** Said again, so long after it was; null: once is enough. */
        againInMs: number | null;
      }>
  );
export const STEP_KINDS = [
  "order",
  "repeat_order",
  "act",
  "delete",
  "call_off",
  "snoop",
  "lie",
  "replay",
  "set_clock",
  "remove_image",
  "strike",
  "plant",
  "lose",
  "suspend",
  "cut_power",
  "vanish",
  "old_agent",
  "fill_disk",
  "fail_renewals",
  "cancel_at_provider",
  "change_plan",
  "resize",
  "resize_by_staff",
  "move",
  "jump",
  "restore",
] as const satisfies readonly Step["do"][];
type Resized = Readonly<{
  vm: number;
  /** Which plan it is to have: so many further than its own. */
  to: number;
  /** null: paid for as it is. */
  interval: "month" | "year" | null;
  keepDisk: boolean;
}>;
/** A customer has it offered, and takes it. */
type Resize = Resized &
  Readonly<{
    do: "resize";
    double: boolean;
    /** What their payment method has become by then; null: it is what it was. */
    onFile: OnFile | null;
    /** What they do about it then, so long after. */
    next: AfterTaken;
    nextAfterMs: number;
  }>;
type ResizeByStaff = Resized &
  Readonly<{
    do: "resize_by_staff";
    when: "now" | "renewal";
    billing: "prorate" | "none";
  }>;
/** Staff move a VM. What follows in the plan strikes once that has begun, or was given up. */
type Move = Readonly<{
  do: "move";
  vm: number;
  /** Whether they name the host that it is to go to: else the best one is taken. */
  named: boolean;
  /** It is asked for twice. */
  double: boolean;
  mbitPerSecond: number | null;
  /** They stop it so long after; null: they do not. */
  stopAfterMs: number | null;
}>;
/** A card that pays; one whose bank asks each time; one that it declines. */
export type OnFile = "good" | "asks" | "declines";
/** `confirm`, `refuse`: they answer the bank, if it asks. `another`: they take another offer meanwhile. */
export type AfterTaken =
  | "wait"
  | "confirm"
  | "refuse"
  | "other_card"
  | "drop"
  | "another"
  | "delete";

/** Under the same key the same body or another one; or the same body under a key of its own: a second click. */
export type RepeatedBody = "same" | "other" | "second_click";
export type Card = "good" | "declined" | "insufficient" | "fails_later";
export type Power = "start" | "shutdown" | "stop" | "reboot" | "reset";
export type Strike = "powers_off" | "pauses" | "fails";
/** Somebody takes away a VM's definition; all of it; or all of it, into the trash, as a host does that was told to. */
export type Loss = "definition" | "all" | "trash";
export type By = "owner" | "staff";
export type Lie = "gone" | "running" | "other_epoch" | "later_generation" | "usage" | "size";
/**
 * What a guest does to look as if its VM had never come: takes a name that it was not given, says nothing at all, turns
 * itself off every nine minutes.
 */
export type Guest = "honest" | "renamed" | "mute" | "restless";

export type Plan = Readonly<{
  /** What the dice of the run are seeded with. */
  chance: number;
  kinds: readonly ChanceKind[];
  steps: readonly Step[];
  /** How many addresses there are to give away: few, so that they run out and are used again. */
  addresses: number;
  /** Whoever has paid nothing yet may hold no more than in production. */
  strictWithNewcomers: boolean;
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
const gapSteps = fc.constantFrom(0, 0, 0, 1, 4, 15, 40, 90);
/** Of the scheduler's steps, until something strikes. */
const inSteps = fc.constantFrom(0, 3, 10, 30, 80);
const gap = { gapMs, gapSteps };
const index = fc.nat(5);
const by = fc.constantFrom<By>("owner", "owner", "staff");

const order = fc.record({
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
});
const step: fc.Arbitrary<Step> = fc.oneof(
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
      count: fc.integer({ min: 1, max: 6 }),
      // Mostly until the month is over, so that there is a renewal to decline.
      days: fc.constantFrom(0, 33, 36, 36),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("cancel_at_provider" as const), ...gap, vm: index }),
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
const resizes: fc.Arbitrary<readonly Step[]> = fc.oneof(
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
const moves: fc.Arbitrary<readonly Step[]> = fc.oneof(
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
        fc.array(step, { minLength: 4, maxLength: 15, size: "max" }),
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
  })
  .map(({ restored, resizes: asked, moves: moved, ...plan }) => {
    const steps = [...moved, ...asked, ...plan.steps];
    return restored === null
      ? { ...plan, steps }
      : { ...plan, steps: steps.toSpliced(steps.length - restored.beforeLast, 0, restored.step) };
  });
