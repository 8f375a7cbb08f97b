import { stepOf } from "#core/currencies.ts";
import { shareOf, type Money } from "#core/money.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Billed, ChangedLine, ChangePreview, Debit } from "./price-changes.ts";
import type { QuoteRefusal } from "./quote.ts";
import type { ServicePrice } from "./service.ts";

/** What a change comes to by our own figures, before tax and what the customer's balance pays. */
export type Proration = Readonly<{
  /** A credit for each debit that stands, and then what is debited. */
  lines: readonly ChangedLine[];
  /** The period that the new price is paid for: what is left of the present one, or a new cycle of another interval. */
  period: Readonly<{ from: Date; until: Date }>;
}>;

/** `outside_period`: what was looked at is old by now; look again. The others are a quote's. */
export type ProrationRefusal =
  | Extract<QuoteRefusal, "invoice_open" | "currency_differs" | "interval_not_sold">
  | "outside_period";

/** What a line comes to, before tax. */
export const netOf = ({ amount, discount }: Pick<ChangedLine, "amount" | "discount">): bigint =>
  amount.minor - discount.minor;

/**
 * What changing to this price at this instant comes to, by the second (docs.stripe.com/billing/subscriptions/prorations). A credit
 * follows what was debited, with the discount of then, whatever the price is by now; the debit is of the new price, with the
 * discount of now. Another interval begins a new cycle from the instant on, at the whole price.
 *
 * Each line is rounded by itself to its currency's step, halves away from zero, after its discount. Stripe's pages say that it prorates to the second,
 * and not how it rounds: so its own figure may be a step away (`compareWithPreview`).
 *
 * A period that is not paid earns no credit: it is refused. So is an instant that is not in the present period, or is before
 * what was debited last.
 */
export function prorate(
  billed: Billed,
  price: ServicePrice,
  at: Date,
): Result<Proration, Refusal<ProrationRefusal>> {
  const { interval } = price;
  if (!billed.isPaid) return refuse("invoice_open", "an invoice of this subscription is not paid");
  if (price.amount.currency !== billed.price.amount.currency)
    return refuse("currency_differs", "a subscription keeps its currency");
  if (interval === "hour") return refuse("interval_not_sold", "no subscription is by the hour");
  const { from, until } = billed.period;
  if (at < from || at >= until || billed.debits.some((debit) => debit.from > at))
    return refuse("outside_period", "the instant is not in what is left of the present period");
  const credits = billed.debits.map((debit) => creditOf(debit, at));
  const discounted = { price: price.amount, discount: discountOn(price.amount, billed.discount) };
  if (interval === billed.price.interval) {
    const debit = partOf(discounted, +until - +at, +until - +from);
    const period = { from: at, until };
    return ok({
      lines: [...credits, { kind: "debit", ...debit, ...period, credits: null }],
      period,
    });
  }
  const period = { from: at, until: intervalAfter(at, interval) };
  const whole = { amount: price.amount, discount: discounted.discount };
  return ok({
    lines: [...credits, { kind: "recurring", ...whole, ...period, credits: null }],
    period,
  });
}

/**
 * Whether the provider's figures are ours, line by line, before tax and balance. Theirs hold (`lines`); `differsBy`: how many
 * minor units more they come to. More than one step of the currency in any line, a line too many or too few, or a total that is not that of the
 * lines: refused.
 */
export function compareWithPreview(
  own: Proration,
  preview: ChangePreview,
): Result<
  { lines: readonly ChangedLine[]; differsBy: bigint },
  Refusal<Extract<QuoteRefusal, "figures_differ">>
> {
  const theirs = [...preview.lines];
  const pairs = own.lines.map((line): [bigint, bigint] => {
    const index = theirs.findIndex((each) => isSameLine(line, each));
    const found = index < 0 ? undefined : theirs.splice(index, 1)[0];
    return [netOf(line), found === undefined ? 0n : netOf(found)];
  });
  // What comes to nothing may be shown or left out.
  for (const left of theirs) pairs.push([0n, netOf(left)]);
  const step = stepOf(preview.total.currency);
  const wrong = pairs.find(([ours, others]) => ours - others > step || others - ours > step);
  if (wrong !== undefined)
    return refuse(
      "figures_differ",
      `a line of ${wrong[0]} minor units is ${wrong[1]} at the provider`,
    );
  const sum = preview.lines.reduce((total, line) => total + netOf(line), 0n);
  if (sum + preview.tax.minor !== preview.total.minor)
    return refuse("figures_differ", "the provider's total is not that of its lines");
  const differsBy = pairs.reduce((total, [ours, others]) => total + others - ours, 0n);
  return ok({ lines: preview.lines, differsBy });
}

/** The provider begins a new cycle at its own now, so that line is told by its kind; a credit may not say what it credits. */
function isSameLine(own: ChangedLine, other: ChangedLine): boolean {
  if (own.kind !== other.kind || own.amount.currency !== other.amount.currency) return false;
  if (own.kind === "recurring") return true;
  if (+own.until !== +other.until) return false;
  return own.credits === other.credits || other.credits === null;
}

function creditOf(debit: Debit, at: Date): ChangedLine {
  const whole = { price: debit.amount, discount: debit.discount };
  const { amount, discount } = partOf(whole, +debit.until - +at, +debit.until - +debit.from);
  const { currency } = amount;
  return {
    kind: "credit",
    amount: { minor: -amount.minor, currency },
    discount: { minor: -discount.minor, currency },
    from: at,
    until: debit.until,
    credits: debit.lineId,
  };
}

/** The part of a price and of its discount that `left` of `length` is worth; what they come to together is rounded once. */
function partOf(
  { price, discount }: { price: Money; discount: Money },
  left: number,
  length: number,
): { amount: Money; discount: Money } {
  const { currency } = price;
  const share = (minor: bigint) =>
    shareOf({ minor, currency }, BigInt(left), BigInt(length), "nearest");
  const gross = share(price.minor);
  const net = share(price.minor - discount.minor);
  return { amount: { minor: gross, currency }, discount: { minor: gross - net, currency } };
}

/** Percentages have up to four decimals. */
const PERCENT_SCALE = 10_000;

function discountOn({ minor, currency }: Money, discount: Billed["discount"]): Money {
  if (discount === null) return { minor: 0n, currency };
  if ("percentOff" in discount) {
    const scaled = BigInt(Math.round(discount.percentOff * PERCENT_SCALE));
    const off = shareOf({ minor, currency }, scaled, 100n * BigInt(PERCENT_SCALE), "nearest");
    return { minor: off, currency };
  }
  const { amountOff } = discount;
  if (amountOff.currency !== currency) return { minor: 0n, currency };
  return { minor: amountOff.minor < minor ? amountOff.minor : minor, currency };
}

/**
 * When a cycle that begins now first ends: the same day and time of the next month or year in UTC, or that month's last day
 * where it has no such day (docs.stripe.com/billing/subscriptions/billing-cycle).
 */
function intervalAfter(from: Date, interval: "month" | "year"): Date {
  const month = from.getUTCMonth() + (interval === "month" ? 1 : 12);
  const lastDay = new Date(Date.UTC(from.getUTCFullYear(), month + 1, 0)).getUTCDate();
  const to = new Date(from);
  to.setUTCFullYear(from.getUTCFullYear(), month, Math.min(from.getUTCDate(), lastDay));
  return to;
}
