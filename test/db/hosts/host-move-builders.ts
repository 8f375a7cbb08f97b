import { activateHost, cordonHost, retireHost } from "#commands/hosts/move-host.ts";
import { cancelMaintenance, planMaintenance } from "#commands/hosts/plan-maintenance.ts";
import type { AskedWindow } from "#core/hosts/maintenance.ts";
import { aPrincipal } from "#test/builders.ts";
import type { ControlPlane } from "#test/harness/control-plane.ts";
import { valueOf } from "#test/harness/world.ts";

/** A member of staff who moves hosts. */
export const OPERATOR = aPrincipal({ role: "staff" });

const MOVES = { cordon: cordonHost, activate: activateHost, retire: retireHost } as const;
export type Move = keyof typeof MOVES;

/** What a move is asked with; done without a hash unless told otherwise. */
export const asked = (
  hostId: string,
  over: Readonly<{ dryRun?: boolean; hash?: string }> = {},
) => ({
  who: OPERATOR,
  hostId,
  reason: "a fan is loud",
  dryRun: false,
  ...over,
});

/** As staff do it: a dry run, and then by its hash. */
export async function moves(cp: ControlPlane, move: Move, hostId: string) {
  const { hash } = valueOf(await MOVES[move](cp.deps, asked(hostId, { dryRun: true })));
  return valueOf(await MOVES[move](cp.deps, asked(hostId, { hash })));
}

export const looksAt = (cp: ControlPlane, move: Move, hostId: string) =>
  MOVES[move](cp.deps, asked(hostId, { dryRun: true }));

export const askMaintenance = (
  cp: ControlPlane,
  hostId: string,
  window: AskedWindow,
  over: Parameters<typeof asked>[1] = {},
) => planMaintenance(cp.deps, { ...asked(hostId, over), window });

export async function plans(cp: ControlPlane, hostId: string, window: AskedWindow) {
  const { hash } = valueOf(await askMaintenance(cp, hostId, window, { dryRun: true }));
  return valueOf(await askMaintenance(cp, hostId, window, { hash }));
}

export async function cancels(cp: ControlPlane, hostId: string) {
  const { hash } = valueOf(await cancelMaintenance(cp.deps, asked(hostId, { dryRun: true })));
  return valueOf(await cancelMaintenance(cp.deps, asked(hostId, { hash })));
}

export async function stateOf(cp: ControlPlane, hostId: string): Promise<unknown> {
  const [row] = await cp.rows("select state from hosts where id = $1", hostId);
  return row?.["state"];
}

export const hoursFromNow = (cp: ControlPlane, hours: number): Date =>
  new Date(+cp.clock.now() + hours * 3_600_000);
