import { shareOf, type Money } from "#core/money.ts";
import type { OrderState } from "#core/orders/order.ts";
import type { PaidPeriod } from "./payments.ts";

/** To the customer's balance, where it pays their next invoices; or to where it came from. */
export const GIVE_BACK_WAYS = ["balance", "card"] as const;
export type GiveBackWay = (typeof GIVE_BACK_WAYS)[number];

/** What is owed of one invoice. `payee` is the provider's customer, or the payment that is given back. */
export type Owed = Readonly<{
  invoiceId: string;
  way: GiveBackWay;
  payee: string;
  from: Date;
  until: Date;
  amount: Money;
}>;

/** What was decided before to be given back of an invoice; `unseen` of it the provider cannot show as a refund, or not yet. */
export type Given = Readonly<{ unseen: bigint; unseenByCard: bigint }>;

/** A loss that is to be settled, with what decides up to when. */
export type LossToSettle = Readonly<{
  until: Date | null;
  settledUntil: Date;
  /** Its VM is deleted, or given up. */
  vmIsToGo: boolean;
  orderState: OrderState;
  /** Until when its VM is paid. */
  paidUntil: Date;
}>;

/**
 * Which time of a loss is settled now, and how what was paid for it goes back. `until` null: all that was paid ahead. null: nothing
 * is, now. A VM that is back, or whose paid time is over, has credit: it goes on. One that is to go has no next invoice.
 *
 * Money of an order that is not delivered yet goes back as a whole or not at all, by its order. A time that is not paid yet may
 * still be, so the loss of a VM that is back waits for that.
 */
export function whatToSettle(
  loss: LossToSettle,
  now: Date,
): { way: GiveBackWay; from: Date; until: Date | null; isAll: boolean } | null {
  const { settledUntil: from, until, paidUntil } = loss;
  if (loss.orderState !== "active" && loss.orderState !== "completed") return null;
  if (until !== null)
    return loss.vmIsToGo || paidUntil >= until
      ? { way: "balance", from, until, isAll: true }
      : null;
  if (loss.vmIsToGo) return { way: "card", from, until: null, isAll: true };
  return paidUntil <= now && from < paidUntil
    ? { way: "balance", from, until: paidUntil, isAll: false }
    : null;
}

/**
 * What is owed for a time that was paid and could not be used: of each invoice its share, to its currency's step below, and never
 * more than is left of what was paid. What no card can get back goes to the balance. Each time is of one loss, so what the provider shows as given for this one
 * was given by a database that was restored to before it (docs/adr/0040): it is not owed once more, also where another loss has taken it in by now.
 *
 * `periods`: the newest first. What one of them credits is that much less that an older one is worth; and what it is worth beyond
 * what was paid for it, an older one has paid.
 */
export function owedFor(
  time: { way: GiveBackWay; from: Date; until: Date | null },
  periods: readonly PaidPeriod[],
  givenOf: (invoiceId: string) => Given,
): readonly Owed[] {
  let carried = 0n;
  return periods.flatMap((period): Owed[] => {
    const until = time.until !== null && time.until < period.until ? time.until : period.until;
    const from = period.given
      .filter((given) => given.until > time.from && given.from < until)
      .reduce((begin, given) => later(begin, given.until), later(time.from, period.from));
    if (from >= until) return [];
    const { total, charged, refunded } = period;
    const worth = worthOf(period, from, until) + carried;
    const paid = total.minor > 0n ? total.minor : 0n;
    carried = worth < 0n ? worth : worth - least(worth, paid);
    const given = givenOf(period.invoiceId);
    const left = least(worth, total.minor - refunded - given.unseen);
    // What is left may be between two steps, by tax; nothing that is can be sent back.
    const minor = shareOf({ minor: left, currency: total.currency }, 1n, 1n, "below");
    if (minor <= 0n) return [];
    const byCard =
      time.way === "card" && minor <= charged - refunded - given.unseenByCard
        ? period.paymentId
        : null;
    return [
      {
        invoiceId: period.invoiceId,
        ...(byCard === null
          ? { way: "balance", payee: period.customerId }
          : { way: "card", payee: byCard }),
        from,
        until,
        amount: { minor, currency: total.currency },
      },
    ];
  });
}

/** What an invoice asked for this time: of each of its parts the share that lies in it, to the step below. */
const worthOf = ({ parts, total: { currency } }: PaidPeriod, from: Date, until: Date): bigint =>
  parts.reduce((sum, part) => {
    const begin = +later(part.from, from);
    const end = Math.min(+part.until, +until);
    if (begin >= end) return sum;
    const whole = BigInt(+part.until - +part.from);
    return sum + shareOf({ minor: part.minor, currency }, BigInt(end - begin), whole, "below");
  }, 0n);

const later = (a: Date, b: Date): Date => (a > b ? a : b);
const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
