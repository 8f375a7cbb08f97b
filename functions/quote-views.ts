import type {
  QuotedResize,
  QuoteView,
  ResizeOptions as ResizeOptionsView,
  StaffResizePlan as StaffResizePlanView,
} from "#core/contracts/api/resizes.ts";
import type { Bought, Quote } from "#core/billing/quote.ts";
import type { ServicePrice } from "#core/billing/service.ts";
import { toWireId } from "#core/ids.ts";
import { toMoneyView, type Money } from "#core/money.ts";
import type { Quoted } from "#commands/billing/quote-resize.ts";
import type { StaffResizePlan } from "#commands/billing/resize-for-staff.ts";
import type { ResizeOption } from "#commands/billing/show-resize-options.ts";

/* What quotes look like on the wire. One function a view, as in `views.ts`. */

const toPriceView = ({ interval, amount }: ServicePrice) => ({
  interval,
  amount: toMoneyView(amount),
});
const orNull = (money: Money | null) => money && toMoneyView(money);

const toSideView = ({ planId, planVersion, machine }: Bought) => {
  const { bandwidthMbit, diskIops, vcpus, memoryMib, diskGib } = machine;
  return {
    planId: toWireId("plan", planId),
    planVersion,
    size: { vcpus, memoryMib, diskGib },
    bandwidthMbit,
    diskIops,
  };
};

const toQuoteView = (q: Quote): QuoteView => ({
  id: toWireId("quote", q.id),
  vmId: toWireId("vm", q.vmId),
  from: toSideView(q.from),
  to: toSideView(q.to),
  when: q.when,
  appliesAt: q.appliesAt.toISOString(),
  billing: q.billing,
  order: q.order,
  method: q.method,
  downSeconds: q.downSeconds,
  dueNow: orNull(q.dueNow),
  credit: orNull(q.credit),
  tax: orNull(q.tax),
  recurring: {
    before: q.from.price && toPriceView(q.from.price),
    after: q.to.price && toPriceView(q.to.price),
  },
  lines: q.lines.map((line) => ({
    kind: line.kind,
    amount: toMoneyView(line.amount),
    from: line.from.toISOString(),
    until: line.until.toISOString(),
    credits: line.credits,
  })),
  differsBy: orNull(q.differsBy),
  createdAt: q.createdAt.toISOString(),
  expiresAt: q.expiresAt.toISOString(),
});

export const toQuotedView = ({ quote, refusals }: Quoted): QuotedResize => ({
  quote: quote && toQuoteView(quote),
  refusals: [...refusals],
});

export const toResizeOptionsView = (shown: {
  current: Bought;
  options: readonly ResizeOption[];
}): ResizeOptionsView => ({
  current: toSideView(shown.current),
  options: shown.options.map(({ plan, price, course, refusals, difference, dueNow }) => ({
    planId: toWireId("plan", plan.id),
    planVersion: plan.version,
    planName: plan.name,
    price: toPriceView(price),
    possible: course !== null,
    refusals: [...refusals],
    when: course && course.when,
    method: course && course.method,
    downSeconds: course && course.downSeconds,
    difference: orNull(difference),
    dueNow: orNull(dueNow),
  })),
});

export const toStaffResizeView = (plan: StaffResizePlan): StaffResizePlanView => ({
  quote: plan.quote && toQuoteView(plan.quote),
  refusals: [...plan.refusals],
  effects: [...plan.effects],
  hash: plan.hash,
});
