import type { Suspension } from "#core/billing/suspension.ts";
import type { RepairWay } from "#core/vms/plan-repair.ts";
import type { ChanceKind } from "./faults.ts";

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
        /** With a trial, where that is to be had. */
        trial: boolean;
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
    | Readonly<{ do: "revive"; vm: number; double: boolean; payAfterMs: number }>
    | Readonly<{ do: "change_plan"; plan: number; by: number }>
    | Resize
    | ResizeByStaff
    | Move
    | Drain
    | Maintain
    | MigratePlans
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
  "revive",
  "change_plan",
  "resize",
  "resize_by_staff",
  "move",
  "drain",
  "maintain",
  "migrate_plans",
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
/** Staff empty the host of a VM. What follows in the plan strikes once that has begun, or was given up. */
type Drain = Readonly<{
  do: "drain";
  vm: number;
  method: "auto" | "cold";
  maxParallel: number;
  /** It is asked for twice. */
  double: boolean;
  /** What they do with the host then, so long after. */
  next: AfterDrained;
  nextAfterMs: number;
}>;
/** `activate`, `cordon`: it is stopped between two VMs. `again`: and begun once more. `retire`: as soon as the host is empty. */
export type AfterDrained = "wait" | "activate" | "cordon" | "again" | "retire";
/** Somebody is to be at a host for a while. */
type Maintain = Readonly<{
  do: "maintain";
  host: number;
  noticeHours: number;
  /** When it begins, at the soonest by that notice; and so long it is announced for. */
  inMs: number;
  lastsMs: number;
  /** Its times are changed once, before it begins. */
  moved: boolean;
  /** What ends it, so long after it was planned; null: nothing in this run does. */
  end: "activate" | "cordon" | "cancel" | null;
  endAfterMs: number;
}>;
/** Staff bring all VMs of a plan to another one. What follows in the plan strikes once that has begun, or was given up. */
type MigratePlans = Readonly<{
  do: "migrate_plans";
  /** Of which of the plans, and to which: so many further. */
  from: number;
  to: number;
  when: "now" | "renewal";
  price: "new" | "keep";
  maxParallel: number;
  stopAfterFailures: number;
  announceDays: number;
  double: boolean;
  /** What they do about it then, one after the other, each so long after the one before. */
  commands: readonly MigrationCommand[];
  commandAfterMs: number;
}>;
export type MigrationCommand = "pause" | "resume" | "stop" | "retry";

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
