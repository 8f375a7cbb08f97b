import type { Stripe } from "stripe";
import type { Row } from "../mirror.ts";
import { isLostOrder, isLostVm } from "./lost-hour.ts";
import { suspendDaysOf, USUAL_DAYS } from "./trials.ts";
import { first, nowOf, type MakeCheck, type Scene } from "./scene.ts";

const DAY_MS = 24 * 3_600_000;
/** As the migration wrote the policy that holds for everybody. */
const DAYS = { suspend: USUAL_DAYS, terminate: 14, delete: 30 };
/** When the sweep was last known to have had its turn, and a little. */
const REST_MS = 10 * 60_000;

/**
 * 6 and 7. Whoever owes is warned, stopped, ended and deleted in that order, each so many days after the step before was done, however long
 * nobody swept; and what is kept is not deleted before its time.
 */
export const dunnedInOrder: MakeCheck = (scene) => ({
  invariant: 7,
  onCommit: () =>
    first(scene.mirror.dunnings.changed, ({ before, after }) =>
      after === null ? "a dunning was removed" : tooSoon(scene, before, after),
    ) ?? deletedTooSoon(scene),
  atRest: () =>
    first(scene.provider.standIn.store.all("subscription"), (subscription) =>
      billsForNothing(scene, subscription),
    ) ??
    first(scene.mirror.dunnings.all(), (dunning) => {
      if (dunning.outcome !== null || isLostVm(scene, dunning.vm_id)) return undefined;
      if (scene.mirror.vms.get(dunning.vm_id)?.presence !== "present")
        return `VM ${dunning.vm_id} is to be gone, and is dunned for`;
      const service = scene.mirror.services.get(dunning.vm_id);
      const runs = service !== undefined && service.entitled_until > nowOf(scene);
      if (runs && dunning.state !== "terminated")
        return `VM ${dunning.vm_id} is paid for, and is dunned for`;
      const waits = nowOf(scene) - dunning.state_at;
      return waits > LONGEST_MS[dunning.state] + REST_MS
        ? `VM ${dunning.vm_id} is ${dunning.state} for ${Math.round(waits / DAY_MS)} days`
        : undefined;
    }),
});

/** What goes on at the provider is what a service is paid by: one that was bought anew has one. */
function billsForNothing(
  scene: Scene,
  { id, status, metadata }: Stripe.Subscription,
): string | undefined {
  const orderId = metadata["order_id"];
  if (status !== "active" || orderId === undefined || isLostOrder(scene, orderId)) return undefined;
  const vmId = scene.mirror.orders.get(orderId)?.vm_id;
  const wasDunned = scene.mirror.dunnings.all().some((each) => each.vm_id === vmId);
  if (vmId === undefined || !wasDunned) return undefined;
  const isPaidBy = scene.mirror.services.get(vmId)?.subscription_id === id;
  const isThere = scene.mirror.vms.get(vmId)?.presence === "present";
  return isPaidBy && isThere ? undefined : `subscription ${id} goes on, and no VM is paid by it`;
}

type Dunning = Row<"dunnings">;

/** For how long each may last; the reminder of mail that nobody took is given up after days. */
const LONGEST_MS: Record<Dunning["state"], number> = {
  begun: 5 * DAY_MS,
  reminded: DAYS.suspend * DAY_MS,
  suspended: DAYS.terminate * DAY_MS,
  ending: 0,
  // Its owner may protect it, staff may keep it, and a page to revive it is open for a while.
  terminated: Infinity,
};

function tooSoon(scene: Scene, before: Dunning | null, after: Dunning): string | undefined {
  if (before === null || before.state === after.state) return undefined;
  const waited = after.state_at - before.state_at;
  const step = `${before.state} to ${after.state}`;
  const least: Record<string, number> = {
    "begun to reminded": 0,
    "reminded to suspended": suspendDaysOf(scene, after.vm_id) * DAY_MS,
    "suspended to ending": DAYS.terminate * DAY_MS,
    "ending to terminated": 0,
  };
  // By whoever's word it has ended.
  if (after.state === "terminated" && hasEnded(scene, after.vm_id)) return undefined;
  const wanted = least[step];
  if (wanted === undefined) return `the dunning for VM ${after.vm_id} went from ${step}`;
  return waited < wanted
    ? `the dunning for VM ${after.vm_id} went from ${step} after ${Math.round(waited / 3_600_000)} h`
    : undefined;
}

const hasEnded = ({ mirror }: Scene, vmId: string): boolean =>
  ["canceled", "incomplete_expired"].includes(mirror.services.get(vmId)?.subscription_status ?? "");

/** What the job deletes was kept for as long as it was to be. */
const deletedTooSoon = (scene: Scene): string | undefined =>
  first(scene.mirror.audit.changed, ({ after }) => {
    if (
      after?.action !== "vm.delete" ||
      after.actor_kind !== "system" ||
      after.actor_id !== "dunning"
    )
      return undefined;
    const dunning = scene.mirror.dunnings
      .all()
      .find((each) => each.vm_id === after.subject_id && each.outcome === null);
    const kept = nowOf(scene) - (dunning?.state_at ?? nowOf(scene));
    return dunning?.state === "terminated" && kept >= DAYS.delete * DAY_MS
      ? undefined
      : `VM ${after.subject_id} was deleted for debt ${Math.round(kept / DAY_MS)} days after its end`;
  });
