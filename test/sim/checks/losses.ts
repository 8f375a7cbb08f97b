import { REPAIRS } from "#core/vms/vm.ts";
import type { Row } from "../mirror.ts";
import { first, isThere, nowOf, subscriptionsOf, type MakeCheck, type Scene } from "./scene.ts";

/** Until a host that is well has told of a loss: its resync, a tenth more, and what a bad network makes of it. */
const TOLD_WITHIN_MS = 2 * 300_000 * 1.1 + 150_000;
const DAY_MS = 24 * 3_600_000;
/** Sweeps that ended well since then: the provider may be away during some of them. */
const SWEEPS = 4;

/**
 * 25. A VM that is not there is billed for one resync and a day at the most: by then its subscription bills nothing more. Counted is
 * time in which its host is well, and sweeps that ended well. One that is there again is billed again.
 */
export const lostIsNotBilled: MakeCheck = (scene) => {
  const missing = new Map<string, { since: number; sweeps: number; swept: number | null }>();
  const bills = (row: Row<"vms">) => {
    const order = scene.mirror.orderOf(row.id);
    return order === undefined
      ? undefined
      : subscriptionsOf(scene, order).find(
          (s) => s.status !== "canceled" && s.pause_collection === null,
        );
  };
  return {
    invariant: 25,
    onStep: () =>
      first(scene.mirror.vms.all(), (row) => {
        const host = scene.hosts.find(({ hostId }) => hostId === row.host_id);
        const isLost =
          row.presence === "present" &&
          row.first_seen_at !== null &&
          host !== undefined &&
          !isThere(host.world.get(row.id));
        if (!isLost) {
          missing.delete(row.id);
          return undefined;
        }
        const now = nowOf(scene);
        // What was told in hours that are lost is told again.
        const wentBack = scene.restores.findLast(({ at }) => at <= now)?.at ?? 0;
        if ((missing.get(row.id)?.since ?? now) < wentBack) missing.delete(row.id);
        const known = missing.get(row.id) ?? { since: now, sweeps: 0, swept: null };
        missing.set(row.id, known);
        // While nobody can tell, it counts from when its host is well; once it is told, from then.
        if (row.lost_at === null && (host.upSince === null || host.cut)) {
          known.since = now;
          return undefined;
        }
        const toldBy = Math.max(known.since, host.upSince ?? 0) + TOLD_WITHIN_MS;
        const due = (row.lost_at ?? toldBy) + DAY_MS;
        const { began } = scene.swept;
        if (began === null || began < due || began === known.swept) return undefined;
        known.swept = began;
        known.sweeps++;
        if (known.sweeps < SWEEPS) return undefined;
        const subscription = bills(row);
        return subscription === undefined
          ? undefined
          : `VM ${row.id} is not there for ${Math.round((now - known.since) / 3_600_000)} h, and ${subscription.id} bills for it`;
      }),
    atRest: () =>
      first(scene.mirror.vms.all(), (row) => stillFrozen(scene, row)) ??
      // What it ends with is still to come: its loss is settled, and what is owed for it given back.
      first(scene.mirror.actions.all(), ({ status, type, vm_id: vmId }) =>
        status === "running" && REPAIRS.some((each) => each === type)
          ? `VM ${vmId} is still being repaired`
          : undefined,
      ),
  };
};

function stillFrozen(scene: Scene, row: Row<"vms">): string | undefined {
  const order = scene.mirror.orderOf(row.id);
  if (row.presence === "absent" || row.lost_at !== null || order === undefined) return undefined;
  const frozen = subscriptionsOf(scene, order).find((s) => s.pause_collection !== null);
  return frozen && frozen.status !== "canceled"
    ? `VM ${row.id} is there, and ${frozen.id} does not bill for it`
    : undefined;
}
