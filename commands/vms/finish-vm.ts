import type { Event } from "#core/contracts/events.ts";
import { IP_QUARANTINE_MS } from "#core/network/address.ts";
import { moveOrder } from "#core/orders/decide-order.ts";
import type { Action } from "#core/vms/action.ts";
import { finishAction } from "#db/vms/actions.ts";
import { releaseAddresses } from "#db/network/addresses.ts";
import { releaseReservation } from "#db/hosts/capacity.ts";
import type { Tx } from "#db/client.ts";
import { eraseInitialPassword, lockInitialPassword } from "#db/vms/initial-passwords.ts";
import { lockOrderOfVm, saveOrder } from "#db/orders/orders.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { saveObservation, type VmRow } from "#db/vms/vms.ts";

/**
 * The host proved that a VM which was to go is gone: its room and its address are free again (the address after
 * its quarantine), and its order is complete. Part of the caller's transaction; the caller holds the VM.
 */
export async function finishVm(
  tx: Tx,
  vm: VmRow,
  running: Action | undefined,
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<void> {
  await saveObservation(tx, vm.id, {
    observedPower: null,
    observedGeneration: vm.generation,
    observedAt: at.now,
    bootEpoch: null,
    runningSince: null,
    deletedAt: at.now,
  });
  // Before its host's row, as everywhere: a payment waits for the host while it holds its order.
  const order = await lockOrderOfVm(tx, vm.id);
  await releaseReservation(tx, vm.id, at.now);
  await releaseAddresses(tx, vm.id, at.now, new Date(+at.now + IP_QUARANTINE_MS));
  await eraseInitialPassword(tx, await lockInitialPassword(tx, vm.id), "withdraw", at.now);
  const events: Event[] = [{ name: "vm.deleted.v1", data: { vmId: vm.id } }];
  if (running && (await finishAction(tx, running.id, { error: null, now: at.now })))
    events.push({ name: "action.finished.v1", data: { actionId: running.id, vmId: vm.id } });
  const moved =
    order &&
    moveOrder(order, "complete", [
      { name: "order.completed.v1", data: { orderId: order.id, vmId: vm.id } },
    ]);
  // An order that is being refunded stays so: its VM is gone, and its money is on the way.
  if (moved?.ok && moved.value.events.length > 0) {
    await saveOrder(tx, moved.value.order);
    events.push(...moved.value.events);
  }
  await recordChange(
    tx,
    { actor, action: "vm.gone", subject: { kind: "vm", id: vm.id }, events },
    at,
  );
}
