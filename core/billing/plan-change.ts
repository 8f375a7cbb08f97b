import type { ActionErrorCode } from "#core/vms/action.ts";
import type { ChangeMachine } from "#core/vms/change-machine.ts";
import type { ChangeMoney } from "./change-money.ts";
import { leastChargeOf } from "#core/currencies.ts";
import type { Money } from "#core/money.ts";
import type { Quote } from "./quote.ts";

/** For how long a change waits for its payment, with a page to confirm it on or to pay with another card. */
export const PAY_WITHIN_MS = 60 * 60_000;
/** Within so long of its payment (or of its beginning, where the machine is first) the new size must be seen. */
export const SEE_WITHIN_MS = 60 * 60_000;
/** So long before the period ends a change at renewal begins: time to see it, and, should it fail, to bring the machine back. */
export const BEGINS_BEFORE_RENEWAL_MS = 3 * 60 * 60_000;
/** The provider may be away for so long while it is asked for a price whose machine is there already. */
export const PRICE_WITHIN_MS = 24 * 60 * 60_000;

/** Why a change goes back. Stable. */
export const TURN_BACKS = [
  "cancelled",
  "replaced",
  "not_paid",
  "not_seen",
  "not_priced",
  "host_refused",
  "no_room",
  "renewal_passed",
  "vm_deleted",
  "vm_lost",
  "billing_frozen",
  "order_refunded",
  "subscription_ended",
  "invoice_open",
] as const;
export type TurnBack = (typeof TURN_BACKS)[number];

/** What its action then says. */
export const ERROR_OF_TURN_BACK = {
  cancelled: "dropped",
  replaced: "dropped",
  not_paid: "not_paid",
  not_seen: "timed_out",
  not_priced: "timed_out",
  host_refused: "host_refused",
  no_room: "no_room",
  renewal_passed: "timed_out",
  vm_deleted: "superseded",
  vm_lost: "vm_lost",
  billing_frozen: "vm_lost",
  order_refunded: "payment_refunded",
  subscription_ended: "not_paid",
  invoice_open: "not_paid",
} as const satisfies Record<TurnBack, ActionErrorCode>;

/** `committed`: the new size was seen and the new price holds. `reverted`: the old ones do. */
export const CHANGE_OUTCOMES = ["committed", "reverted"] as const;
export type ChangeOutcome = (typeof CHANGE_OUTCOMES)[number];

/** A change of what was bought, from the quote that was taken on. Its two states meet in `plan-change-step.ts` only. */
export type PlanChange = Readonly<
  Pick<
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
> &
  Readonly<{
    id: string;
    quoteId: string;
    actionId: string;
    /** The instant that its money was worked out for: the provider prorates to it. */
    pricedFor: Date;
    /** null: nothing is asked of the provider. */
    subscriptionId: string | null;
    money: ChangeMoney;
    machine: ChangeMachine;
    turnedBack: TurnBack | null;
    outcome: ChangeOutcome | null;
    /** The provider's prices of before and after, from when it is asked. */
    fromPriceId: string | null;
    toPriceId: string | null;
    invoiceId: string | null;
    /** The page on which it is paid first, where no card is charged. */
    checkoutId: string | null;
    /** Where its payer confirms it, or pays with another card, as long as it waits. */
    payUrl: string | null;
    /** The VM's generation that asks for the size which is to be seen. */
    generation: number | null;
    /** By then it must be paid, and be seen. null: its time has not come. */
    payBy: Date | null;
    seeBy: Date | null;
    createdAt: Date;
    /** Each step's instant: when its room was reserved, its price held, its host was told, its size was seen, it went back. */
    reservedAt: Date | null;
    askedAt: Date | null;
    pricedAt: Date | null;
    appliedAt: Date | null;
    seenAt: Date | null;
    turnedBackAt: Date | null;
    machineBackAt: Date | null;
    endedAt: Date | null;
  }>;

/** Whether whoever asked for it may still call it off: neither is it paid nor was its host told. */
export const mayBeDropped = (change: Pick<PlanChange, "money" | "machine" | "turnedBack">) =>
  change.turnedBack === null &&
  change.money !== "applied" &&
  (change.machine === "waiting" || change.machine === "none");

/**
 * What is to be paid on a page before the price is changed; null: nothing. Less than the least charge is carried to the next invoice
 * by the provider, as it is where a card pays.
 */
export const paidByPage = ({
  order,
  paysBy,
  dueNow,
}: Pick<PlanChange, "order" | "paysBy" | "dueNow">): Money | null =>
  order === "pay_first" &&
  paysBy === "other" &&
  dueNow &&
  dueNow.minor >= leastChargeOf(dueNow.currency)
    ? dueNow
    : null;

/** Another interval begins a period of its own, which is paid as it begins: once it holds, it is not taken back. */
export const isOtherInterval = ({ from, to }: Pick<PlanChange, "from" | "to">): boolean =>
  from.price?.interval !== to.price?.interval;
