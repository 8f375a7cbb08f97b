import type { Event } from "#core/contracts/events.ts";
import { decideUnprovenOrder, moveOrder } from "#core/orders/decide-order.ts";
import { ACTION_TIME_LIMIT_MS } from "#core/vms/action.ts";
import { areDestroysHeld } from "#core/hosts/restored.ts";
import { finishAction, overdueActions, runningActionOf } from "#db/vms/actions.ts";
import { loadService, saveEntitled } from "#db/billing/services.ts";
import { loadImage } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { bumpDesiredGeneration, loadHost } from "#db/hosts/hosts.ts";
import { loadOrder, lockOrder, markTried, orderIdsInState, saveOrder } from "#db/orders/orders.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockVm, saveDesire, saveObservation, type VmRow } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";

const ACTOR = { kind: "system", id: "watch-provisioning" } as const;
type At = { now: Date; newId: () => string };

/**
 * Ends what would wait for ever. A paid order whose VM was seen running in silence for a while counts as delivered, and
 * staff are told; one whose host has not made its VM run by the deadline is undone and its money given back; a power
 * action that does not end becomes an error.
 */
export async function watchProvisioning(
  deps: Deps,
): Promise<{ activated: number; refunding: number; timedOut: number; failed: number }> {
  const count = { activated: 0, refunding: 0, timedOut: 0, failed: 0 };
  const left: string[] = [];
  for (const orderId of await orderIdsInState(deps.db, "paid", 200)) {
    try {
      const outcome = await judgeOrder(deps, orderId);
      if (outcome === "activate") count.activated++;
      if (outcome === "refund") count.refunding++;
      if (outcome === "wait") left.push(orderId);
    } catch (error) {
      count.failed++;
      left.push(orderId);
      deps.log.error("watch_provisioning.failed", { order_id: orderId, error });
    }
  }
  // Also those that only wait, some of them for long: more of them than one look takes hold up no other.
  await markTried(deps.db, left, deps.clock.now());
  count.timedOut = await endOverdueActions(deps);
  return count;
}

/**
 * Ends the waiting of one paid order, if it is to end: delivers it, or undoes it and lets the money go back. May be repeated:
 * what is decided is decided under the order's lock.
 */
export async function judgeOrder(
  deps: Deps,
  orderId: string,
): Promise<"wait" | "activate" | "refund"> {
  const known = await loadOrder(deps.db, orderId);
  if (!known) return "wait";
  const at = stamp(deps);
  const outcome = await inTransaction(deps.db, async (tx) => {
    // First the VM, then its order: reports lock in this order too.
    const vm = await lockVm(tx, known.vmId);
    const order = await lockOrder(tx, orderId);
    if (!order || !vm || vm.presence === "absent") return "wait";
    const host = await loadHost(tx, vm.hostId);
    const decided = decideUnprovenOrder(
      order,
      { ...vm, hostLastSeenAt: host?.lastSeenAt ?? null },
      at.now,
    );
    if (decided === "wait") return decided;
    // What was proven in hours that a restored database has lost is proven again first.
    if (decided === "refund" && host && areDestroysHeld(host, at.now)) return "wait";
    const command = decided === "activate" ? "activate" : "refund";
    const moved = moveOrder(
      order,
      command,
      decided === "activate"
        ? [{ name: "order.activated.v1", data: { orderId, vmId: vm.id } }]
        : [{ name: "order.refund_fell_due.v1", data: { orderId } }],
    );
    if (!moved.ok) return "wait";
    await saveOrder(tx, moved.value.order);
    const events: Event[] = [...moved.value.events];
    if (decided === "refund") events.push(await undoVm(tx, vm, at));
    else await saveObservation(tx, vm.id, { silentFrom: at.now });
    const running = await runningActionOf(tx, vm.id);
    const error =
      decided === "refund"
        ? {
            code: "payment_refunded" as const,
            message: "the VM could not be made; the payment is given back",
          }
        : null;
    if (running?.type === "create" && (await finishAction(tx, running.id, { error, now: at.now })))
      events.push({ name: "action.finished.v1", data: { actionId: running.id, vmId: vm.id } });
    await recordChange(
      tx,
      {
        actor: ACTOR,
        action: `order.${command}`,
        subject: { kind: "order", id: orderId },
        detail: {
          first_running_at: vm.firstRunningAt?.toISOString() ?? null,
          running_since: vm.runningSince?.toISOString() ?? null,
          ran_ms: vm.ranMs,
          last_error: vm.lastErrorCode,
        },
        events,
      },
      at,
    );
    if (decided === "refund") await bumpDesiredGeneration(tx, vm.hostId);
    return decided;
  });
  // It was delivered as it is. Why it said nothing, people must see: unless its image never does.
  if (outcome === "activate" && (await loadImage(deps.db, known.imageId))?.speaks !== false)
    deps.log.error("watch_provisioning.silent_guest", { order_id: orderId });
  return outcome;
}

/** The money goes back, so the VM must not come to be: the right to run ends, and its host is told to remove it. */
async function undoVm(tx: Tx, vm: VmRow, at: At): Promise<Event> {
  const { entitledUntil } = await loadService(tx, vm.id);
  // One that has run out already stays so: nothing is entitled anew that is to go (invariant 5).
  if (entitledUntil > at.now) await saveEntitled(tx, vm.id, { entitledUntil: at.now }, at.now);
  await saveDesire(tx, vm.id, {
    presence: "absent",
    power: "off",
    stopMode: "firm",
    generation: vm.generation + 1,
  });
  return { name: "vm.change_requested.v1", data: { vmId: vm.id, hostId: vm.hostId } };
}

async function endOverdueActions(deps: Deps): Promise<number> {
  const before = new Date(+deps.clock.now() - ACTION_TIME_LIMIT_MS);
  let ended = 0;
  for (const action of await overdueActions(deps.db, before, 100)) {
    const at = stamp(deps);
    await inTransaction(deps.db, async (tx) => {
      const vm = await lockVm(tx, action.vmId);
      const error = {
        code: "timed_out" as const,
        message: "the host did not confirm it in time; it still may",
      };
      if (!vm || !(await finishAction(tx, action.id, { error, now: at.now }))) return;
      ended++;
      await recordChange(
        tx,
        {
          actor: ACTOR,
          action: "action.time_out",
          subject: { kind: "action", id: action.id },
          events: [
            { name: "action.finished.v1", data: { actionId: action.id, vmId: vm.id } },
            { name: "vm.change_requested.v1", data: { vmId: vm.id, hostId: vm.hostId } },
          ],
        },
        at,
      );
      await bumpDesiredGeneration(tx, vm.hostId);
    });
  }
  return ended;
}
