import type { BillingQueue } from "#core/ports.ts";
import type { ProviderEvent } from "./payments.ts";

/**
 * Events about one object come together, and a look at it tells what each of them could: a second later one look does for
 * all, and an effect still follows within two (`npm run bench:billing`). A first invoice is delivered beside its Checkout Session, which says all that it says: then it costs no look at all.
 */
const TOGETHER_S = 1;
const COME_TOGETHER = new Set(["invoice", "subscription"]);

/** How a delivery is rung for. */
export type Ringing = Readonly<{ queue: BillingQueue; delaySeconds: number }>;

export const ringingFor = ({ awaited, object, type }: ProviderEvent): Ringing => ({
  queue: awaited ? "purchases" : "billing-events",
  delaySeconds: COME_TOGETHER.has(object.kind) && (awaited || type !== PAID) ? TOGETHER_S : 0,
});

/** Money that was taken is followed at once: a renewal's comes alone, and a VM that was stopped for debt waits for it. */
const PAID = "invoice.paid";
