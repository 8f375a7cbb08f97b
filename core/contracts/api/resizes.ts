import { z } from "@hono/zod-openapi";
import {
  CHANGE_BILLING,
  CHANGE_ORDERS,
  CHANGE_WHEN,
  QUOTED_LINES,
  QUOTE_REFUSALS,
  RESIZE_METHODS,
} from "#core/billing/quote.ts";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";
import { idIn, idOut } from "#core/ids.ts";
import { MoneyView } from "#core/money.ts";
import { VmSize } from "#core/vms/vm.ts";
import { BillingInterval, PlanPrice } from "./catalogue.ts";
import { Label } from "./values.ts";

export const QuoteResize = z
  .strictObject({
    planId: idIn("plan").openapi({
      description: "Of which its newest version is offered; its own plan for another interval.",
    }),
    billingInterval: use(BillingInterval)
      .optional()
      .openapi({ description: "Left out: as it is paid for now." }),
    keepDisk: z.boolean().default(false).openapi({
      description:
        "The disk stays as small as it is, so that the way down stays open: a disk never shrinks.",
    }),
  })
  .openapi("QuoteResize");

export const ChangeWhen = z.enum(CHANGE_WHEN).openapi("ChangeWhen", {
  description: "At once, or at the end of the period that is paid.",
});
export const ChangeBilling = z.enum(CHANGE_BILLING).openapi("ChangeBilling", {
  description:
    "`prorate`: what is left of the present period is credited and charged. `none`: the new price counts from the next period on.",
});
export const ChangeOrder = z.enum(CHANGE_ORDERS).openapi("ChangeOrder", {
  description:
    "`pay_first`: paid, and then made. `machine_first`: made, seen, and then priced: nothing is to be paid now.",
});
export const ResizeMethod = z.enum(RESIZE_METHODS).openapi("ResizeMethod", {
  description:
    "`live`: while it runs, or while it is off; `restart`: it is shut down and started once; `move`: to another host; `none`: the machine stays as it is.",
});

const Bought = z
  .object({
    planId: idOut("plan"),
    planVersion: z.int(),
    size: VmSize,
    bandwidthMbit: z.int().nullable().openapi({ description: "null: no limit" }),
    diskIops: z.int().nullable().openapi({ description: "null: no limit" }),
  })
  .openapi("ResizeSide");

const Recurring = z
  .object({
    before: use(PlanPrice).nullable(),
    after: use(PlanPrice).nullable(),
  })
  .openapi("RecurringPrices", {
    description:
      "What is paid for each interval, before tax; null: whoever pays keeps the price, or there is none.",
  });

const ResizeRefusal = z
  .object({
    code: z.enum(QUOTE_REFUSALS).openapi("ResizeRefusalCode"),
    detail: z.string().openapi({ description: "For people; it may change." }),
  })
  .openapi("ResizeRefusal");

const QuoteLine = z
  .object({
    kind: z.enum(QUOTED_LINES).openapi("QuoteLineKind"),
    amount: MoneyView.openapi({
      description: "Before tax, less discounts; a credit's is negative.",
    }),
    from: Instant,
    until: Instant,
    credits: z.string().nullable().openapi({
      description:
        "The line of a paid invoice, by the payment provider's id, of which a credit gives a part back.",
    }),
  })
  .openapi("ResizeQuoteLine");

const QuoteView = z
  .object({
    id: idOut("quote"),
    vmId: idOut("vm"),
    from: use(Bought),
    to: use(Bought),
    when: use(ChangeWhen),
    appliesAt: Instant.openapi({
      description: "When it is made: now, or at the end of the period.",
    }),
    billing: use(ChangeBilling),
    order: use(ChangeOrder),
    method: use(ResizeMethod),
    downSeconds: z.int().nonnegative().openapi({
      description: "For how long the VM may be down; 0: it is not.",
    }),
    dueNow: use(MoneyView).nullable().openapi({
      description:
        "To be paid before it is made, with tax, less what the balance pays. null, as `credit` and `tax`: nobody asks you for money.",
    }),
    credit: use(MoneyView).nullable().openapi({
      description: "What goes to your balance, with tax, where more is given back than is due.",
    }),
    tax: use(MoneyView).nullable().openapi({ description: "In what is due, or in the credit." }),
    recurring: use(Recurring),
    lines: z
      .array(QuoteLine)
      .openapi({ description: "What is charged and credited now, and for which time." }),
    differsBy: use(MoneyView).nullable().openapi({
      description:
        "By how much the lines are above our own figures: they are the payment provider's, and may differ by one minor unit each.",
    }),
    createdAt: Instant,
    expiresAt: Instant.openapi({ description: "Until when it can be taken." }),
  })
  .openapi("ResizeQuote");
export type QuoteView = z.infer<typeof QuoteView>;

export const QuotedResize = z
  .object({
    quote: use(QuoteView).nullable(),
    refusals: z
      .array(ResizeRefusal)
      .openapi({ description: "Why there is no quote: all that stands against it." }),
  })
  .openapi("QuotedResize");
export type QuotedResize = z.infer<typeof QuotedResize>;

const ResizeOption = z
  .object({
    planId: idOut("plan"),
    planVersion: z.int(),
    planName: z.string(),
    price: PlanPrice,
    possible: z.boolean().openapi({ description: "With the disk of that plan, not a kept one." }),
    refusals: z.array(ResizeRefusal),
    when: use(ChangeWhen)
      .nullable()
      .openapi({ description: "null, as `method`: it is not possible." }),
    method: use(ResizeMethod).nullable(),
    downSeconds: z.int().nonnegative().nullable(),
    difference: use(MoneyView).nullable().openapi({
      description:
        "By how much its price is above the present one, before tax; negative: it is cheaper. null: of another interval or currency, or there is no price now.",
    }),
    dueNow: use(MoneyView).nullable().openapi({
      description:
        "By our own figures, before tax and balance; negative: a credit. null: it is not possible, or nobody asks you for money. A quote tells it to the cent.",
    }),
  })
  .openapi("ResizeOption");

export const ResizeOptions = z
  .object({ current: use(Bought), options: z.array(ResizeOption) })
  .openapi("ResizeOptions");
export type ResizeOptions = z.infer<typeof ResizeOptions>;

export const ResizeForStaff = z
  .strictObject({
    planId: idIn("plan"),
    billingInterval: use(BillingInterval).optional(),
    keepDisk: z.boolean().default(false),
    when: use(ChangeWhen),
    billing: use(ChangeBilling),
    reason: Label(500).openapi({ description: "For the audit." }),
    dryRun: z
      .boolean()
      .default(false)
      .openapi({ description: "Says what it would do, and does nothing." }),
    hash: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional()
      .openapi({ description: "A dry run's: refused when it would do something else by now." }),
  })
  .openapi("ResizeForStaff");

export const StaffResizePlan = z
  .object({
    quote: use(QuoteView).nullable(),
    refusals: z.array(ResizeRefusal),
    effects: z.array(z.string()),
    hash: z.string().nullable().openapi({ description: "null: it cannot be done." }),
  })
  .openapi("StaffResizePlan");
export type StaffResizePlan = z.infer<typeof StaffResizePlan>;
