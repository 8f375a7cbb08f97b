import type { AskedInvoice } from "./payments.ts";

/** What becomes of what a subscription still asks for when it ends: nobody owes it, or only the days that were used. */
export const ASKED_WHEN_ENDED = ["void"] as const;
export type AskedWhenEnded = (typeof ASKED_WHEN_ENDED)[number];

/** A version of what we do then. They are never changed: another one holds from its own instant on. */
export type EndingPolicy = Readonly<{ version: number; asked: AskedWhenEnded; from: Date }>;

/** What is to be done with an invoice, in this order: nobody owes it; it is not collected by itself; it is, again. */
export type SettlingStep = Readonly<{ invoiceId: string; do: "void" | "hold" | "collect" }>;

/**
 * What to do with all that is asked of a customer when one subscription of theirs has ended. Of that one nothing is collected any
 * more: what is open is void, and a draft, which nobody can be asked to pay, stays one. The provider has stopped to collect what the
 * others ask for too (https://docs.stripe.com/billing/subscriptions/cancel): of those that go on that begins again.
 *
 * A repeat has nothing to do.
 */
export function settleAsked(
  endedId: string,
  asked: readonly AskedInvoice[],
): readonly SettlingStep[] {
  const steps = asked.flatMap((invoice): SettlingStep[] => {
    const { id: invoiceId, status, collects, isDue } = invoice;
    if (invoice.subscriptionId === endedId)
      return status === "open"
        ? [{ invoiceId, do: "void" }]
        : collects
          ? [{ invoiceId, do: "hold" }]
          : [];
    return status === "open" && isDue && !collects ? [{ invoiceId, do: "collect" }] : [];
  });
  return ORDER.flatMap((each) => steps.filter((step) => step.do === each));
}
const ORDER = ["hold", "void", "collect"] as const satisfies readonly SettlingStep["do"][];

/**
 * Whether an invoice was paid when what it is for had ended already: the payment crossed the end on its way, and is given back.
 * The provider tells time to the second; in that second the payment was first.
 */
export const hasCrossed = (
  { status, paidAt }: Readonly<{ status: string; paidAt: Date | null }>,
  endedAt: Date,
): boolean => status === "paid" && paidAt !== null && paidAt > endedAt;
