import { toOrder } from "#core/billing/ledger.ts";
import { lastPaidBefore } from "#core/billing/dunning.ts";
import { entitledUntil } from "#core/billing/entitlement.ts";
import type { FindingKind } from "#core/hosts/finding.ts";
import type { CheckoutState } from "#core/billing/payments.ts";
import type { Event } from "#core/contracts/events.ts";
import { overBoughtFindings } from "#db/billing/bought-changes.ts";
import { saveCrossed } from "#db/billing/crossed-payments.ts";
import { closeDunning, findDunning, lockDunning } from "#db/billing/dunnings.ts";
import { policyFor } from "#db/billing/dunning-policies.ts";
import { lockService, saveOwnSuspendDays, saveRevived } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { lockOrder, outdateLooks } from "#db/orders/orders.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockVm } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { endThese } from "#commands/hosts/note-findings.ts";
import { bookInvoice } from "./book-invoice.ts";

/** The page where a VM is bought anew, and the dunning that it ends. */
export type Revival = Readonly<{ dunningId: string; vmId: string; checkoutId: string }>;

/**
 * Follows the page where a VM is bought anew: paid, its VM has a new subscription, and a lease by that. What is paid when the VM is to be
 * gone, or was bought anew already, goes back, and its subscription ends. May be repeated; `claim` runs first, and says false for one.
 *
 * Throws when the provider cannot be reached.
 */
export async function followRevival(
  deps: Deps,
  revival: Revival,
  by: Readonly<{ actor: Actor; claim?: (tx: Tx) => Promise<boolean> }>,
): Promise<"revived" | "given_back" | "not_paid" | "repeat"> {
  const checkout = await deps.payments.fetchCheckout(revival.checkoutId);
  const { orderId } = checkout;
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    if (by.claim && !(await by.claim(tx))) return "repeat";
    if (!checkout.paid || checkout.subscription === null || orderId === null) return "not_paid";
    const paid = { ...checkout, subscription: checkout.subscription };
    return take(tx, { revival, orderId, paid }, at, by.actor);
  });
}

type At = { now: Date; newId: () => string };
type Paid = CheckoutState & { subscription: NonNullable<CheckoutState["subscription"]> };

async function take(
  tx: Tx,
  of: { revival: Revival; orderId: string; paid: Paid },
  at: At,
  actor: Actor,
): Promise<"revived" | "given_back" | "repeat"> {
  const { revival, orderId, paid } = of;
  const { dunningId, vmId } = revival;
  const order = await lockOrder(tx, orderId);
  if (!order || !paid.invoice)
    throw new Error(`checkout ${paid.id} is paid, and leads to no order or shows no invoice yet`);
  const vm = await lockVm(tx, vmId);
  const service = await lockService(tx, vmId);
  if (service.subscriptionId === paid.subscription.id) return "repeat";
  const dunning = await lockDunning(tx, dunningId);
  await bookInvoice(tx, toOrder(order), paid.invoice, at);
  const isThere = vm?.presence === "present" && dunning?.state === "terminated";
  if (!vm || !isThere) return giveBack(tx, { ...of, paid }, at, actor);
  const { id, status, version } = paid.subscription;
  await saveRevived(
    tx,
    vmId,
    {
      subscriptionId: id,
      subscriptionStatus: status,
      subscriptionVersion: version,
      entitledUntil: entitledUntil(paid.subscription, null, at.now),
    },
    at.now,
  );
  // Of what was only tried it had other days.
  const { suspendDays } = await policyFor(tx, vm.accountId);
  await saveOwnSuspendDays(tx, vmId, suspendDays, at.now);
  await closeDunning(tx, dunningId, "revived", at.now);
  const told = [{ vmId, kind: "ended_by_provider" satisfies FindingKind }];
  await endThese(tx, await overBoughtFindings(tx, told), at, actor);
  // Who looked before has seen the subscription that has ended.
  await outdateLooks(tx, vmId);
  await recordChange(
    tx,
    {
      actor,
      action: "dunning.revived",
      subject: { kind: "vm", id: vmId },
      detail: { dunning_id: dunningId, subscription_id: id },
      events: [
        { name: "dunning.changed.v1", data: { dunningId, vmId } },
        { name: "entitlement.changed.v1", data: { vmId } },
        { name: "vm.change_requested.v1", data: { vmId, hostId: vm.hostId } },
      ],
    },
    at,
  );
  await bumpDesiredGeneration(tx, vm.hostId);
  return "revived";
}

/** There is nothing any more that it could pay for. */
async function giveBack(
  tx: Tx,
  { revival, orderId, paid }: { revival: Revival; orderId: string; paid: Paid },
  at: At,
  actor: Actor,
): Promise<"given_back"> {
  const { invoice, subscription } = paid;
  const events: Event[] = [
    {
      name: "subscription.cancellation_fell_due.v1",
      data: { orderId, subscriptionId: subscription.id },
    },
  ];
  if (invoice?.paidAt != null) {
    const invoiceId = await saveCrossed(tx, invoice.id, lastPaidBefore(invoice.paidAt));
    events.push({ name: "payment.crossed.v1", data: { invoiceId, orderId } });
  }
  await recordChange(
    tx,
    {
      actor,
      action: "dunning.revived_too_late",
      subject: { kind: "vm", id: revival.vmId },
      detail: { dunning_id: revival.dunningId, subscription_id: subscription.id },
      events,
    },
    at,
  );
  return "given_back";
}

/** Whether the page where a VM is bought anew was paid, though nobody has heard of it. */
export async function revivedUnheard(deps: Deps, dunningId: string): Promise<boolean> {
  const dunning = await findDunning(deps.db, dunningId);
  if (dunning?.checkoutId == null) return false;
  const { vmId, checkoutId } = dunning;
  const actor = { kind: "system", id: "dunning" } as const;
  const followed = await followRevival(deps, { dunningId, vmId, checkoutId }, { actor });
  return followed !== "not_paid";
}
