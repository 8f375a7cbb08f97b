import { toOrder } from "#core/billing/ledger.ts";
import { entitledUntil } from "#core/billing/entitlement.ts";
import type { CheckoutState } from "#core/billing/payments.ts";
import { decideConfirmPayment, moveOrder, type OrderRefusal } from "#core/orders/decide-order.ts";
import type { Order } from "#core/orders/order.ts";
import { ok, type Result } from "#core/result.ts";
import { insertAction } from "#db/vms/actions.ts";
import { releaseAddresses } from "#db/network/addresses.ts";
import { insertService } from "#db/billing/services.ts";
import { heldReservation, releaseReservation, reserve } from "#db/hosts/capacity.ts";
import { loadUnknownVm, type UnknownVm } from "#db/hosts/restores.ts";
import { loadImage, loadPlan, type Plan } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { saveOrder } from "#db/orders/orders.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { together } from "#db/together.ts";
import { insertVm } from "#db/vms/vms.ts";
import { bookInvoice } from "#commands/billing/book-invoice.ts";
import { takePlace } from "#commands/hosts/take-place.ts";
import { beginTrial, endRefusedTrial, limitTrialsDebt, refuseTrial } from "./begin-trial.ts";
import { expireOrder } from "./expire-order.ts";

/**
 * Money has come for an order: books it, writes what was bought, by the version and the price that were ordered, and makes
 * the VM's row on the host that holds its place. An order that had expired is served if there is still room, and is given
 * its money back if not; so is one that was paid with another amount than it costs. One whose trial is refused has paid nothing, and ends.
 * Part of the caller's transaction; the caller holds the order.
 */
export async function fulfilOrder(
  tx: Tx,
  order: Order,
  checkout: CheckoutState,
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<Result<"fulfilled" | "refunding" | "expired" | "unchanged", OrderRefusal>> {
  const paid = decideConfirmPayment(order, checkout.settled, at.now);
  if (!paid.ok && paid.error.code !== "order_underpaid") return paid;
  if (paid.ok && paid.value.events.length === 0) return ok("unchanged");
  if (checkout.settled === null)
    return refundInstead(tx, order, { why: "foreign_currency", ...at }, actor);
  // Without its invoice the payment could not be booked nor given back: better that the message comes again.
  if (!checkout.invoice)
    throw new Error(`checkout ${checkout.id} is paid and shows no invoice yet`);
  if (order.trialPolicy !== null && order.declineCode !== null) {
    await endRefusedTrial(tx, order, checkout, at, actor);
    return ok("unchanged");
  }
  const [, held, plan] = await together([
    bookInvoice(tx, toOrder(order), checkout.invoice, at),
    heldReservation(tx, order.vmId),
    loadPlan(tx, order),
  ]);

  // Money that was taken leads to a VM or goes back, also when it is not what was asked for (invariant 1).
  if (!paid.ok) return refundInstead(tx, order, { why: "underpaid", ...at }, actor);
  if (order.trialPolicy !== null) {
    const why = await beginTrial(tx, order, checkout, at.now);
    if (why !== null) {
      await refuseTrial(tx, order, { why, checkout }, at, actor);
      return ok(await expireOrder(tx, order, at, actor, { trial: why }));
    }
  }
  const place = held ?? (await newPlace(tx, { order, plan }, at));
  if (!place) return refundInstead(tx, order, { why: "without_place", ...at }, actor);

  const actionId = at.newId();
  await together([
    saveOrder(tx, paid.value.order),
    insertService(
      tx,
      {
        vmId: order.vmId,
        accountId: order.accountId,
        planId: order.planId,
        planVersion: order.planVersion,
        payer: "stripe",
        price: {
          interval: order.billingInterval,
          amount: { minor: order.listMinor, currency: order.currency },
        },
        subscriptionId: checkout.subscription?.id ?? null,
        subscriptionStatus: checkout.subscription?.status ?? null,
        subscriptionVersion: checkout.subscription?.version ?? null,
        entitledUntil: checkout.subscription
          ? entitledUntil(checkout.subscription, null, at.now)
          : at.now,
      },
      at.now,
    ),
    insertVm(tx, {
      id: order.vmId,
      accountId: order.accountId,
      hostId: place.hostId,
      imageId: order.imageId,
      locationId: order.locationId,
      hostname: order.hostname,
      sshKeys: [...order.sshKeys],
      userData: order.userData,
      rootPassword: order.rootPassword,
      createdAt: at.now,
      size: plan.size,
      bandwidthMbit: plan.bandwidthMbit,
      diskIops: plan.diskIops,
    }),
    insertAction(tx, {
      id: actionId,
      vmId: order.vmId,
      type: "create",
      status: "running",
      generation: 1,
      startedAt: at.now,
      finishedAt: null,
      error: null,
    }),
    recordChange(
      tx,
      {
        actor,
        action: "order.pay",
        subject: { kind: "order", id: order.id },
        detail: { vm_id: order.vmId, host_id: place.hostId, action_id: actionId },
        events: [
          ...paid.value.events,
          { name: "vm.change_requested.v1", data: { vmId: order.vmId, hostId: place.hostId } },
        ],
      },
      at,
    ),
    bumpDesiredGeneration(tx, place.hostId),
  ]);
  if (order.trialPolicy !== null) await limitTrialsDebt(tx, order, at.now);
  return ok("fulfilled");
}

/** For an order whose place was given up. */
async function newPlace(
  tx: Tx,
  { order, plan }: { order: Order; plan: Plan },
  at: { now: Date; newId: () => string },
): Promise<{ hostId: string } | undefined> {
  const there = await loadUnknownVm(tx, order.vmId);
  // It is there already, made in hours that a restored database has lost: never a second time elsewhere.
  if (there) return placeWhereItIs(tx, { there, plan }, at);
  const image = await loadImage(tx, order.imageId);
  if (!image) return undefined;
  const place = await takePlace(tx, order, { plan, image }, at);
  return place.ok ? place.value : undefined;
}

async function placeWhereItIs(
  tx: Tx,
  { there, plan }: { there: UnknownVm; plan: Plan },
  at: { now: Date; newId: () => string },
): Promise<{ hostId: string } | undefined> {
  const { vmId, hostId } = there;
  const place = { id: at.newId(), vmId, hostId, size: plan.size, isThere: true, now: at.now };
  return (await reserve(tx, place)) ? { hostId } : undefined;
}

async function refundInstead(
  tx: Tx,
  order: Order,
  at: { now: Date; newId: () => string; why: "underpaid" | "foreign_currency" | "without_place" },
  actor: Actor,
): Promise<Result<"refunding", OrderRefusal>> {
  const moved = moveOrder(order, "refund", [
    { name: "order.refund_fell_due.v1", data: { orderId: order.id } },
  ]);
  if (!moved.ok) return moved;
  await saveOrder(tx, { ...moved.value.order, paidAt: at.now });
  // What an underpaid order held is free again; an expired one holds nothing.
  await releaseReservation(tx, order.vmId, at.now);
  await releaseAddresses(tx, order.vmId, at.now, at.now);
  await recordChange(
    tx,
    {
      actor,
      action: `order.refund_${at.why}`,
      subject: { kind: "order", id: order.id },
      events: moved.value.events,
    },
    at,
  );
  return ok("refunding");
}
