import { DESTROYS_HELD_MS } from "#core/hosts/restored.ts";
import type { Row } from "../mirror.ts";
import { nowOf, type Scene } from "./scene.ts";

/*
 * What a database that went back to an earlier state cannot know any more (docs/adr/0040), each by name: the checks ask here,
 * and hold everything else to what always holds.
 */

/** An order of which only the provider knows: placed in the lost hours, and not adopted. */
export const isLostOrder = ({ restores, mirror }: Scene, orderId: string | undefined): boolean =>
  orderId !== undefined &&
  mirror.orders.get(orderId) === undefined &&
  restores.some(({ lostOrders }) => lostOrders.has(orderId));

/** A VM that only its host knows: of an order that is lost, and not adopted. */
export const isLostVm = ({ restores, mirror }: Scene, vmId: string): boolean =>
  mirror.vms.get(vmId) === undefined &&
  restores.some(
    ({ orders, lostOrders, vms }) =>
      vms.has(vmId) || [...lostOrders].some((orderId) => orders.get(orderId)?.vm_id === vmId),
  );

/** A VM that only its host knew for a while: what it used then was refused. */
export const wasLostVm = ({ hosts }: Scene, vmId: string): boolean =>
  hosts.some(({ wentBack }) => wentBack?.lostVms.has(vmId) === true);

/** Actions that were asked for in the lost hours: what they did on the host stays done. */
export const lostActionsOf = ({ restores }: Scene, vmId: string): readonly Row<"actions">[] =>
  restores.flatMap(({ actions }) => actions.filter((action) => action.vm_id === vmId));

/** Whether the VM was told to go in the lost hours: its host did, or does, before it hears that nobody knows of it. */
export const wasToGo = ({ restores }: Scene, vmId: string): boolean =>
  restores.some(({ vms }) => vms.get(vmId)?.presence === "absent");

/** Samples that were acknowledged in the lost hours: their agents keep them no more. */
export const lostSamples = ({ restores, mirror }: Scene): readonly Row<"usage_samples">[] =>
  restores.flatMap(({ samples }) =>
    samples.filter((s) => mirror.samples.get(`${s.vm_id}/${s.boot_epoch}/${s.seq}`) === undefined),
  );

/**
 * A VM of which a change went on in the lost hours: what the provider and its host were told then, the database knows no more, and
 * nothing asks them (docs/adr/0052).
 */
export const hasLostChange = ({ restores }: Scene, vmId: string): boolean =>
  restores.some(({ lostChanges }) => lostChanges.has(vmId));

/** Since the provider has told again of what went back in the lost hours, nothing excuses an order that does not know it. */
export const mayNotKnowYet = ({ restores }: Scene, orderId: string): boolean =>
  restores.some(({ orders }) => {
    const state = orders.get(orderId)?.state;
    return state === "refunding" || state === "refunded";
  });

/** So long a step of a host's goes on that was begun by an earlier document. */
const STEP_MS = 15 * 60_000;

/** When a disk was trashed although its host knew by then that nothing is to be destroyed. */
export const wasHeld = (
  scene: Scene,
  disk: { host: string; vmId: string; trashedAt: number },
): boolean => {
  const host = scene.hosts.find(({ name }) => name === disk.host);
  const tookAt = host?.wentBack?.tookAt ?? null;
  const since = (tookAt ?? Infinity) + (wasToGo(scene, disk.vmId) ? STEP_MS : 0);
  return scene.restores.some(
    ({ said }) =>
      said !== null && disk.trashedAt > since && disk.trashedAt < said + DESTROYS_HELD_MS,
  );
};

/** An order whose VM had run by when the database went back, in the first day since: what is known of it must be seen again. */
export const isBeingProvenAgain = (scene: Scene, order: Row<"orders">): boolean =>
  scene.restores.some(({ said, at, orders }) => {
    const state = orders.get(order.id)?.state;
    return state === "active" && nowOf(scene) < (said ?? at) + DESTROYS_HELD_MS;
  });
