import { mayTouch, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { aheadOf } from "#core/billing/dunning.ts";
import { ORDER_HOLD_MS } from "#core/orders/decide-order.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { attachRevival, openDunningOf } from "#db/billing/dunnings.ts";
import { loadService } from "#db/billing/services.ts";
import { loadPlan } from "#db/catalogue/catalogue.ts";
import { orderIdOfVm } from "#db/orders/orders.ts";
import { loadVm } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";
import { ensureCustomer, openFor } from "./ensure-customer.ts";
import { revivedUnheard } from "./follow-revival.ts";
import { priceAtProvider, priceFor } from "#commands/catalogue/price-at-provider.ts";

/** Where a VM is bought anew, and until when. */
export type RevivalPage = Readonly<{ checkoutUrl: string; expiresAt: Date }>;

/** How long its page can be paid: Stripe takes no session shorter than half an hour, and calls take their time. */
const PAGE_MS = ORDER_HOLD_MS + 30 * 60_000;

/**
 * Opens a page where a VM whose subscription has ended is bought anew, as it is: its plan's version, its price, what is on it and its
 * address stay. A repeat answers with the page that is open. While it is open nothing of the VM is deleted.
 *
 * Throws when the payment provider cannot be reached.
 */
export async function reviveVm(
  deps: Deps,
  { who, vmId }: { who: AccountPrincipal; vmId: string },
): Promise<Result<RevivalPage, Refusal<"vm_not_found" | "vm_not_ended" | "vm_suspended">>> {
  const { db } = deps;
  const vm = await loadVm(db, vmId);
  if (!vm || vm.presence === "absent" || !mayTouch(who, vm.accountId))
    return refuse("vm_not_found", "no such VM");
  const [dunning, service, orderId] = await Promise.all([
    openDunningOf(db, vmId),
    loadService(db, vmId),
    orderIdOfVm(db, vmId),
  ]);
  if (dunning?.state !== "terminated" || orderId === undefined)
    return refuse("vm_not_ended", "its subscription has not ended: there is nothing to revive");
  if (service.suspensions.length > 0)
    return refuse("vm_suspended", "it is suspended: please ask our support, who lift it");
  const now = deps.clock.now();
  const { checkoutUrl, checkoutExpiresAt } = dunning;
  if (checkoutUrl !== null && checkoutExpiresAt !== null && checkoutExpiresAt > now)
    return ok({ checkoutUrl, expiresAt: checkoutExpiresAt });
  const { deletesAt } = aheadOf(dunning, dunning.policy, now);
  if (deletesAt === null || deletesAt <= now)
    return refuse("vm_not_ended", "the time in which it was kept is over, and it is being deleted");
  // Its page can be paid no more; whoever was fast is served before another one opens.
  if (dunning.checkoutId !== null) {
    await deps.payments.expireCheckout(dunning.checkoutId);
    if (await revivedUnheard(deps, dunning.id))
      return refuse("vm_not_ended", "it was paid meanwhile, and is revived");
  }
  const { price } = service;
  const plan = await loadPlan(db, service);
  const sold =
    price && priceFor(plan, { interval: price.interval, currency: price.amount.currency });
  // By the hour, or at a price that only this one had: nobody can say what it costs from now on.
  if (!price || price.interval === "hour" || sold?.amount.minor !== price.amount.minor)
    return refuse("vm_not_ended", "its price was agreed on for it alone: please ask our support");
  const { interval } = price;
  const { currency } = price.amount;
  const payer = { accountId: vm.accountId, currency };
  const [customerId, priceId] = await Promise.all([
    ensureCustomer(deps, who, payer),
    priceAtProvider(deps, { ...service, interval, currency }),
  ]);
  const expiresAt = new Date(+now + PAGE_MS);
  const { publicUrl } = deps.settings;
  const page = await openFor(deps, who, {
    payer,
    customerId,
    open: (customer) =>
      deps.payments.createCheckout({
        orderId,
        customerId: customer,
        priceId,
        successUrl: `${publicUrl}/checkout/done`,
        cancelUrl: `${publicUrl}/checkout/cancelled`,
        expiresAt,
        revives: dunning.id,
      }),
  });
  // Of two repeats that race, the first one's page stays: only that one may be paid.
  const kept = await attachRevival(db, dunning.id, { ...page, expiresAt }, now);
  return kept ? ok(kept) : refuse("vm_not_ended", "it was revived, or deleted, meanwhile");
}
