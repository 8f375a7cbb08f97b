import { v7 } from "uuid";
import type { PlanChange } from "#core/billing/plan-change.ts";
import type { SeenOfChange } from "#core/billing/plan-change-step.ts";
import type { Bought } from "#core/billing/quote.ts";
import { AT, minutesAfter } from "./builders.ts";

const aBought = (planVersion: number, minor: bigint, vcpus: number): Bought => ({
  planId: v7(),
  planVersion,
  price: { interval: "month", amount: { minor, currency: "usd" } },
  machine: {
    vcpus,
    memoryMib: 1024 * vcpus,
    diskGib: 20 * vcpus,
    bandwidthMbit: 200,
    diskIops: 900,
  },
});

/** Upwards, begun at `AT`, whose provider was not asked yet. */
export const aPlanChange = (over: Partial<PlanChange> = {}): PlanChange => ({
  id: v7(),
  vmId: v7(),
  quoteId: v7(),
  actionId: v7(),
  from: aBought(3, 500n, 1),
  to: aBought(5, 900n, 2),
  when: "now",
  billing: "prorate",
  order: "pay_first",
  paysBy: "card",
  dueNow: { minor: 400n, currency: "usd" },
  method: "live",
  appliesAt: AT,
  pricedFor: AT,
  subscriptionId: "sub_7",
  money: "not_asked",
  machine: "waiting",
  turnedBack: null,
  outcome: null,
  fromPriceId: null,
  toPriceId: null,
  invoiceId: null,
  checkoutId: null,
  payUrl: null,
  generation: null,
  payBy: minutesAfter(60),
  seeBy: null,
  createdAt: AT,
  reservedAt: AT,
  askedAt: null,
  pricedAt: null,
  appliedAt: null,
  seenAt: null,
  turnedBackAt: null,
  machineBackAt: null,
  endedAt: null,
  ...over,
});

export const aSeenChange = (over: Partial<SeenOfChange> = {}): SeenOfChange => ({
  isVmToGo: false,
  isVmLost: false,
  isBillingFrozen: false,
  isOrderRefunded: false,
  subscription: "pays",
  isVmBusy: false,
  isSizeSeen: false,
  hasDiskGrown: false,
  isRefused: false,
  ...over,
});
