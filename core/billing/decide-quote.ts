import { GRACEFUL_STOP_MS } from "#core/vms/plan-vm-step.ts";
import { howToResize } from "#core/vms/resize-method.ts";
import type { Billed, PriceChangeHow } from "./price-changes.ts";
import { netOf, prorate, type Proration } from "./proration.ts";
import type { Downgrade } from "#core/catalogue/sold.ts";
import { QUOTE_LIFE_MS, type Bought, type Quote } from "./quote.ts";
import { sameMachine, whyNoQuote, type KnownBilled, type Refused } from "./quote-refusals.ts";
import type { ResizeAsked, ResizeState, ResizeTarget } from "./resize.ts";
import { priceOf, type ServicePrice } from "./service.ts";

/** How a change would go. */
export type Course = Readonly<
  Pick<
    Quote,
    | "from"
    | "to"
    | "when"
    | "billing"
    | "order"
    | "paysBy"
    | "method"
    | "downSeconds"
    | "at"
    | "appliesAt"
    | "expiresAt"
  >
> &
  Readonly<{
    /** What the payment provider is asked for; null: nothing. */
    how: PriceChangeHow | null;
    /** By our own figures; null: nothing of the present period is charged or credited. */
    own: Proration | null;
  }>;

/** A guest that shuts down in its grace, or is cut off at its end, and then boots: most are up again well before. */
export const RESTART_SECONDS = GRACEFUL_STOP_MS / 1000 + 60;

/**
 * How a change would be made, or all that stands against it. The provider's own figures come after it, as they cost a call.
 *
 * What costs less comes by the rule of the plan that was bought, a shorter interval at renewal, and all else at once. What is due is
 * paid first. So nobody runs what costs more than is paid: while a change waits for money the machine is the cheaper one, and
 * while it waits for its machine what is paid is the dearer price (docs/adr/0051).
 */
export function decideCourse(
  state: ResizeState,
  asked: ResizeAsked,
  billed: Billed | null,
  now: Date,
): { course: Course } | { refusals: readonly Refused[] } {
  const from = state.bought;
  const { to, how, refusals } = weighChange(state, asked, billed, now);
  if (to === null || refusals.length > 0) return { refusals };
  // The provider prorates to whole seconds.
  const at = new Date(Math.floor(+now / 1000) * 1000);
  const money =
    billed === null || from.price === null || to.price === null || isOnePrice(from, to)
      ? unpriced(asked, billed, { at, now })
      : priced(state, asked, { billed, from: from.price, to: to.price }, { at, now });
  if ("refusals" in money) return money;
  return { course: { from, to, ...how, ...money } };
}

/**
 * What would be had, how its machine would get there, and all that stands against it. `billed`: what is known of its subscription.
 */
export function weighChange(
  state: ResizeState,
  asked: ResizeAsked,
  billed: KnownBilled | null,
  now: Date,
): Readonly<{
  to: Bought | null;
  how: Pick<Quote, "method" | "downSeconds">;
  refusals: readonly Refused[];
}> {
  const to = asked.target && sideOf(state, asked, asked.target);
  const way = to && !sameMachine(state.bought.machine, to.machine) ? wayOf(state, to) : null;
  // A VM that is off is changed as it lies there.
  const method = way === null ? "none" : way.method === "none" ? "live" : way.method;
  const downSeconds = method === "restart" ? RESTART_SECONDS : 0;
  return {
    to,
    how: { method, downSeconds },
    refusals: whyNoQuote({ state, asked, to, billed, way }, now),
  };
}

type Priced = Omit<Course, "from" | "to" | "method" | "downSeconds">;

/**
 * The same price: staff let its owner keep it, or it is the same version, of which only the disk that was kept small grows to what is
 * paid for.
 */
const isOnePrice = (from: Bought, to: Bought): boolean =>
  to.priceKept === true ||
  (from.planId === to.planId &&
    from.planVersion === to.planVersion &&
    from.price?.interval === to.price?.interval);

/** No price changes, or whoever pays keeps it: there is no renewal to wait for, unless staff say so of what is kept. */
function unpriced(
  { staff }: ResizeAsked,
  billed: Billed | null,
  { at, now }: Readonly<{ at: Date; now: Date }>,
): Priced {
  const isLater = billed !== null && staff?.price === "keep" && staff.when === "renewal";
  const ends = isLater ? +billed.period.until : Infinity;
  return {
    when: isLater ? "renewal" : "now",
    billing: "none",
    order: "machine_first",
    paysBy: "card",
    at,
    appliesAt: isLater ? billed.period.until : at,
    expiresAt: new Date(Math.min(+now + QUOTE_LIFE_MS, ends)),
    how: null,
    own: null,
  };
}

function priced(
  { downgrade }: ResizeState,
  { staff }: ResizeAsked,
  { billed, from, to }: Readonly<{ billed: Billed; from: ServicePrice; to: ServicePrice }>,
  { at, now }: Readonly<{ at: Date; now: Date }>,
): Priced | { refusals: readonly Refused[] } {
  const isOtherInterval = from.interval !== to.interval;
  const when = staff?.when ?? whenOf(from, to, downgrade);
  // Another interval begins a period of its own, which is billed as it begins; of the same one the next period has the new price.
  const billing =
    when === "renewal" ? (isOtherInterval ? "prorate" : "none") : (staff?.billing ?? "prorate");
  const isProrated = when === "now" && billing === "prorate";
  const prorated = isProrated ? prorate(billed, to, at) : null;
  if (prorated?.ok === false) {
    const { code, detail } = prorated.error;
    return { refusals: [code === "outside_period" ? JUST_CHANGED : { code, detail }] };
  }
  const own = prorated?.value ?? null;
  const isDue = own !== null && dueOf(own) > 0n;
  return {
    when,
    billing,
    order: isDue ? "pay_first" : "machine_first",
    paysBy: billed.paysBy,
    at,
    appliesAt: when === "renewal" ? billed.period.until : at,
    // What was worked out is of this period.
    expiresAt: new Date(Math.min(+now + QUOTE_LIFE_MS, +billed.period.until)),
    how: isDue && billed.paysBy === "card" ? "pay_first" : isProrated ? "prorate" : "none",
    own,
  };
}

/** By the provider's clock it was billed for something else a moment ago: ours may be behind. */
const JUST_CHANGED: Refused = {
  code: "change_waiting",
  detail: "what it is billed for has only just changed: ask again in a moment",
};

/** By our own figures, before tax and balance; negative: a credit. */
export const dueOf = ({ lines }: Proration): bigint =>
  lines.reduce((sum, line) => sum + netOf(line), 0n);

const whenOf = (from: ServicePrice, to: ServicePrice, downgrade: Downgrade): Quote["when"] => {
  if (from.interval !== to.interval) return to.interval === "year" ? "now" : "renewal";
  return to.amount.minor < from.amount.minor ? downgrade : "now";
};

/** What would be had. null: it is not sold by that interval. By the hour is billed by usage, which is not sold yet. */
function sideOf(
  { bought, isPriceKept }: ResizeState,
  { interval, keepDisk, staff }: ResizeAsked,
  target: ResizeTarget,
): Bought | null {
  const wanted = interval ?? bought.price?.interval ?? null;
  const isSame =
    bought.planId === target.planId &&
    bought.planVersion === target.version &&
    bought.price?.interval === wanted;
  // What is kept once is kept as long as the same is had.
  const isKept = bought.price !== null && (staff?.price === "keep" || (isSame && isPriceKept));
  const price = isKept
    ? bought.price
    : wanted === "hour"
      ? null
      : priceOf(target.prices, wanted, bought.price?.amount.currency ?? null);
  if (bought.price !== null && price === null) return null;
  const disk = keepDisk ? bought.machine.diskGib : target.size.diskGib;
  const { vcpus, memoryMib } = target.size;
  return {
    planId: target.planId,
    planVersion: target.version,
    price: bought.price && price,
    ...(isKept && { priceKept: true }),
    machine: {
      vcpus,
      memoryMib,
      // One that has grown beyond its plan stays so.
      diskGib: Math.max(disk, bought.machine.diskGib),
      bandwidthMbit: target.bandwidthMbit,
      diskIops: target.diskIops,
    },
  };
}

const wayOf = ({ host, seen, power }: ResizeState, { machine }: Bought) =>
  host.means && howToResize(seen, machine, host.means, power);
