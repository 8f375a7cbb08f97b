/** How often a price recurs. */
export type Recurrence = Readonly<{ interval: string; intervalCount: number }>;
/** Unix seconds, start included and end not. */
export type Period = Readonly<{ start: number; end: number }>;

const DAY = 86_400;

/**
 * `times` intervals after `anchor`. Months and years keep the anchor's day, or take the month's last day where it
 * has no such day, so that 31 January is followed by 28 February and then 31 March, as at Stripe.
 */
function afterIntervals(anchor: number, recurrence: Recurrence, times: number): number {
  const count = recurrence.intervalCount * times;
  switch (recurrence.interval) {
    case "day":
      return anchor + count * DAY;
    case "week":
      return anchor + count * 7 * DAY;
    case "month":
      return afterMonths(anchor, count);
    case "year":
      return afterMonths(anchor, count * 12);
    default:
      throw new Error(`unknown interval ${recurrence.interval}`);
  }
}

/** The period that begins at `start`, of a cycle that was anchored at `anchor`. */
export function periodFrom(anchor: number, start: number, recurrence: Recurrence): Period {
  let times = 1;
  while (afterIntervals(anchor, recurrence, times) <= start) times += 1;
  return { start, end: afterIntervals(anchor, recurrence, times) };
}

function afterMonths(anchor: number, months: number): number {
  const from = new Date(anchor * 1000);
  const month = from.getUTCMonth() + months;
  const lastDay = new Date(Date.UTC(from.getUTCFullYear(), month + 1, 0)).getUTCDate();
  const to = new Date(anchor * 1000);
  to.setUTCFullYear(from.getUTCFullYear(), month, Math.min(from.getUTCDate(), lastDay));
  return Math.floor(to.getTime() / 1000);
}
