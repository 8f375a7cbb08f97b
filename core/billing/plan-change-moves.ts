import { MACHINE_IS_BACK, moveMachine, type MachineMove } from "#core/vms/change-machine.ts";
import { MONEY_IS_BACK, moveMoney, type MoneyMove } from "./change-money.ts";
import {
  isOtherInterval,
  PAY_WITHIN_MS,
  SEE_WITHIN_MS,
  type ChangeOutcome,
  type PlanChange,
  type TurnBack,
} from "./plan-change.ts";
import type { PriceChangeState } from "./price-changes.ts";
import type { Quote } from "./quote.ts";

/** What a step changes of a change. */
export type ChangedOfChange = Partial<
  Omit<
    PlanChange,
    | keyof Pick<
        Quote,
        | "vmId"
        | "from"
        | "to"
        | "when"
        | "billing"
        | "order"
        | "paysBy"
        | "method"
        | "appliesAt"
        | "dueNow"
      >
    | "id"
    | "quoteId"
    | "actionId"
    | "pricedFor"
    | "subscriptionId"
    | "createdAt"
  >
>;

function must<T>(moved: { ok: true; value: T } | { ok: false; error: { detail: string } }): T {
  if (!moved.ok) throw new Error(moved.error.detail);
  return moved.value;
}
const money = (change: PlanChange, move: MoneyMove) => must(moveMoney(change.money, move));
const machine = (change: PlanChange, move: MachineMove) => must(moveMachine(change.machine, move));

/** Its room is held, and its time runs. */
export const onBegin = (order: Quote["order"], now: Date) => ({
  reservedAt: now,
  payBy: order === "pay_first" ? new Date(+now + PAY_WITHIN_MS) : null,
  seeBy: order === "pay_first" ? null : new Date(+now + SEE_WITHIN_MS),
});

/** Before the provider is asked: whatever becomes of that, it is known that it was begun, and from which price. */
export const onAsk = (
  change: PlanChange,
  prices: { fromPriceId: string; toPriceId: string },
  now: Date,
): ChangedOfChange => ({ money: money(change, "ask"), ...prices, askedAt: now });

/** What the provider says of the price; it may have been asked of a change that was turned back since. null: nothing new. */
export function onAnswer(
  change: PlanChange,
  answer: PriceChangeState,
  now: Date,
): ChangedOfChange | null {
  if (answer.kind === "not_there") return { money: money(change, "lapse"), payUrl: null };
  if (answer.kind === "paid") {
    // It goes back once it is turned back: until then there is nobody to pay, and nothing that holds.
    if (change.money === "dropping") return { money: money(change, "apply") };
    return change.payUrl === null && change.money === "waiting"
      ? null
      : { money: money(change, "wait"), payUrl: null };
  }
  if (answer.kind === "applied") {
    const isKept = change.money === "dropping" && isOtherInterval(change);
    return {
      money: money(change, isKept ? "keep" : "apply"),
      ...(isKept && { turnedBack: null, turnedBackAt: null, machineBackAt: null }),
      invoiceId: answer.invoice?.id ?? change.invoiceId,
      payUrl: null,
      pricedAt: now,
      seeBy: change.seeBy ?? new Date(+now + SEE_WITHIN_MS),
    };
  }
  const to = {
    money: money(change, "wait"),
    invoiceId: answer.invoiceId,
    checkoutId: answer.checkoutId,
    payUrl: change.turnedBack === null ? answer.payUrl : null,
  };
  const isKnown =
    to.money === change.money &&
    to.invoiceId === change.invoiceId &&
    to.checkoutId === change.checkoutId &&
    to.payUrl === change.payUrl;
  return isKnown ? null : to;
}

/** All that was paid is where it came from, and the old price holds. */
export const onGivenBack = (change: PlanChange): ChangedOfChange => ({
  money: money(change, "give_back"),
});

/** Its host is told of the new size, by that generation. */
export const onApply = (change: PlanChange, generation: number, now: Date): ChangedOfChange => ({
  machine: machine(change, "apply"),
  generation,
  appliedAt: now,
});
export const onSee = (change: PlanChange, now: Date): ChangedOfChange => ({
  machine: machine(change, "see"),
  seenAt: now,
});

/** Its machine is what it was, or is not there any more. */
export const onMachineBack = (
  change: PlanChange,
  how: "see_old" | "let_go",
  now: Date,
): ChangedOfChange => ({ machine: machine(change, how), machineBackAt: now });

/** Whether its host was told of the new size, and must be told of the old one again. */
export const wasTold = ({ machine: at }: Pick<PlanChange, "machine">): boolean =>
  at === "applying" || at === "seen";

/** From now on all that follows leads to the old price and the old size. `isGone`: no machine is there to have one. */
export function onTurnBack(
  change: PlanChange,
  of: { why: TurnBack; isGone: boolean },
  now: Date,
): ChangedOfChange {
  const to = machine(change, of.isGone ? "let_go" : "turn_back");
  return {
    turnedBack: of.why,
    turnedBackAt: now,
    money: MONEY_IS_BACK.has(change.money) ? change.money : money(change, "turn_back"),
    machine: to,
    payUrl: null,
    ...(MACHINE_IS_BACK.has(to) && { machineBackAt: now }),
  };
}

export const onEnd = (as: ChangeOutcome, now: Date): ChangedOfChange => ({
  outcome: as,
  endedAt: now,
});
