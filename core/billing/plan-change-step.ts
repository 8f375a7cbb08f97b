import { MACHINE_IS_BACK, MACHINE_IS_THERE } from "#core/vms/change-machine.ts";
import { MONEY_IS_BACK, MONEY_IS_THERE } from "./change-money.ts";
import {
  isOtherInterval,
  BEGINS_BEFORE_RENEWAL_MS,
  PRICE_WITHIN_MS,
  type PlanChange,
  type TurnBack,
} from "./plan-change.ts";

/** What is known of the world around a change. */
export type SeenOfChange = Readonly<{
  isVmToGo: boolean;
  isVmLost: boolean;
  isBillingFrozen: boolean;
  isOrderRefunded: boolean;
  /** `none`: no subscription pays. `owes`: what it asked for last is not paid. */
  subscription: "none" | "pays" | "owes" | "ended";
  /** Another action runs on the VM. */
  isVmBusy: boolean;
  /** Its host showed the size that is desired, in every field, since it was told of it. */
  isSizeSeen: boolean;
  /** Its disk is larger than what is desired: a disk never shrinks. */
  hasDiskGrown: boolean;
  /** Its host said, since it was told, that it cannot do it. */
  isRefused: boolean;
}>;

/** A call of the provider. An answer that changes nothing is waited for. */
export type AskingStep = Readonly<{ kind: "prepare" | "ask" | "look" | "drop" | "undo" }>;
/** One transaction. */
export type OwnStep =
  | Readonly<{ kind: "begin" | "apply" | "see" | "keep_disk" | "see_old" | "let_go" }>
  | Readonly<{ kind: "turn_back"; why: TurnBack }>
  | Readonly<{ kind: "end"; as: NonNullable<PlanChange["outcome"]> }>;
/** `wait`: until then, unless somebody rings. */
export type Rest = Readonly<{ kind: "wait"; until: Date | null }> | Readonly<{ kind: "ended" }>;

/** What is to be done next. */
export type ChangeStep = AskingStep | OwnStep | Rest;

const ASKING: ReadonlySet<ChangeStep["kind"]> = new Set<AskingStep["kind"]>([
  "prepare",
  "ask",
  "look",
  "drop",
  "undo",
]);
export const isAsking = (step: ChangeStep): step is AskingStep => ASKING.has(step.kind);
export const isRest = (step: ChangeStep): step is Rest =>
  step.kind === "wait" || step.kind === "ended";

export function nextChangeStep(change: PlanChange, seen: SeenOfChange, now: Date): ChangeStep {
  if (change.outcome !== null) return { kind: "ended" };
  if (change.turnedBack !== null) return backward(change, seen);
  const why = whyBack(change, seen, now);
  return why === null ? forward(change, seen, now) : { kind: "turn_back", why };
}

/** When a change begins: at once, or before the period ends. */
export const beginsAt = ({ when, appliesAt, createdAt }: PlanChange): Date =>
  when === "now" ? createdAt : new Date(+appliesAt - BEGINS_BEFORE_RENEWAL_MS);

/** What ends a change whatever it is at, worst first. */
const OF_THE_WORLD = [
  ["vm_deleted", (seen) => seen.isVmToGo],
  ["order_refunded", (seen) => seen.isOrderRefunded],
  ["vm_lost", (seen) => seen.isVmLost],
  ["billing_frozen", (seen) => seen.isBillingFrozen],
  ["subscription_ended", (seen) => seen.subscription === "ended"],
] as const satisfies readonly (readonly [TurnBack, (seen: SeenOfChange) => boolean])[];

function whyBack(change: PlanChange, seen: SeenOfChange, now: Date): TurnBack | null {
  const { money, machine, payBy, seeBy, seenAt } = change;
  if (money === "applied" && isOtherInterval(change)) return null;
  for (const [why, holds] of OF_THE_WORLD) if (holds(seen)) return why;
  const isPriced = MONEY_IS_THERE.has(money);
  const isThere = MACHINE_IS_THERE.has(machine);
  if (!isPriced) {
    // The provider voided it by itself, or its time was over there.
    if (MONEY_IS_BACK.has(money)) return "not_paid";
    if (seen.subscription === "owes") return "invoice_open";
    // A renewal that was billed at the old price has bought the old size.
    if (change.when === "renewal" && now >= change.appliesAt) return "renewal_passed";
    if (payBy !== null && now >= payBy) return "not_paid";
    if (change.order === "machine_first" && isLaterThan(now, seenAt, PRICE_WITHIN_MS))
      return "not_priced";
  }
  if (isThere) return null;
  if (machine === "applying") {
    // What is seen counts, however late somebody looks.
    if (seen.isSizeSeen) return null;
    if (seen.isRefused) return "host_refused";
  }
  return seeBy !== null && now >= seeBy ? "not_seen" : null;
}

const isLaterThan = (now: Date, at: Date | null, ms: number) => at !== null && +now >= +at + ms;

function forward(change: PlanChange, seen: SeenOfChange, now: Date): ChangeStep {
  if (change.reservedAt === null) {
    const begins = beginsAt(change);
    return now < begins ? { kind: "wait", until: begins } : { kind: "begin" };
  }
  const sides = [moneyForward(change), machineForward(change, seen)];
  const [first, second] = change.order === "pay_first" ? sides : sides.toReversed();
  return first ?? second ?? { kind: "end", as: "committed" };
}

/** null: the price holds. */
function moneyForward({ money }: PlanChange): ChangeStep | null {
  if (MONEY_IS_THERE.has(money)) return null;
  return { kind: money === "not_asked" ? "prepare" : money === "asking" ? "ask" : "look" };
}

/** null: the size is there. */
function machineForward(change: PlanChange, seen: SeenOfChange): ChangeStep | null {
  if (MACHINE_IS_THERE.has(change.machine)) return null;
  const wait = { kind: "wait", until: change.seeBy } as const;
  if (change.machine === "waiting") return seen.isVmBusy ? wait : { kind: "apply" };
  return seen.isSizeSeen ? { kind: "see" } : wait;
}

/** The machine first, which only reads what is known: a provider that is away does not keep a VM locked. */
function backward(change: PlanChange, seen: SeenOfChange): ChangeStep {
  const isBack = MACHINE_IS_BACK.has(change.machine);
  if (!isBack) {
    if (seen.isVmToGo || seen.isVmLost) return { kind: "let_go" };
    if (seen.hasDiskGrown) return { kind: "keep_disk" };
    if (seen.isSizeSeen) return { kind: "see_old" };
  }
  if (change.money === "dropping") return { kind: "drop" };
  if (change.money === "undoing") return { kind: "undo" };
  return isBack ? { kind: "end", as: "reverted" } : { kind: "wait", until: null };
}
