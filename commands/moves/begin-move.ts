import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { STEP_WITHIN_MS } from "#core/moves/next-step.ts";
import { sealedAs, type Move } from "#core/moves/move.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action } from "#core/vms/action.ts";
import type { Tx } from "#db/client.ts";
import { reserve } from "#db/hosts/capacity.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { freshEpoch, insertMove, loadMove } from "#db/moves/moves.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { insertAction } from "#db/vms/actions.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { refuseOther } from "#commands/forced.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";
import {
  formatOf,
  planMove,
  toForced,
  type AskedMove,
  type MovePlan,
  type NotPlanned,
} from "./plan-move.ts";

export type MoveRefusal = NotPlanned | Refusal<"move_refused" | "plan_changed" | "no_capacity">;
export type BegunMove = Readonly<{ action: Action; move: Move }>;
/** A change of a host by which it is emptied, or whoever else moves VMs without having looked at each. */
type By = AccountPrincipal | Readonly<{ job: string }>;

const KEY_BYTES = 32;

/** What a move would do; it changes nothing. */
export const showMove = (deps: Deps, asked: AskedMove): Promise<Result<MovePlan, NotPlanned>> =>
  inTransaction(deps.db, (tx) => planMove(tx, asked, deps.clock.now()));

/**
 * Begins to move a VM to another host: its room there is held, its action runs, and both hosts are told. `hash`: a dry run's; of another
 * plan it is refused.
 */
export const beginMove = (
  deps: Deps,
  asked: AskedMove & {
    who: AccountPrincipal;
    reason: string;
    hash?: string | undefined;
    mbitPerSecond?: number | undefined;
  },
): Promise<Result<BegunMove, MoveRefusal>> =>
  undoOnRefusal(deps.db, async (tx): Promise<Result<BegunMove, MoveRefusal>> => {
    const planned = await planMove(tx, asked, deps.clock.now());
    if (!planned.ok) return planned;
    const forced = toForced(planned.value);
    if (forced === null) return refuseChecked(planned.value);
    const same = refuseOther(forced, asked.hash);
    if (!same.ok) return same;
    return carryOut(deps, tx, planned.value, asked);
  });

export const refuseChecked = ({ checks }: MovePlan) =>
  refuse(
    "move_refused",
    checks
      .flatMap(({ ok: isOk, check, detail }) => (isOk ? [] : [`${check}: ${detail}`]))
      .join("; "),
  );

/** Begins what was planned in the same transaction. */
export async function carryOut(
  deps: Pick<Deps, "clock" | "ids" | "secrets" | "sealer">,
  tx: Tx,
  { vm, destination, way, size }: MovePlan,
  by: Readonly<{ who: By; reason: string; mbitPerSecond?: number | undefined }>,
): Promise<Result<BegunMove, Refusal<"no_capacity">>> {
  const at = stamp(deps);
  const address = way?.ends.destination.facts.migrationAddress;
  if (way === null || destination === null || address === undefined)
    throw new Error(`a move of VM ${vm.id} was begun that cannot be`);
  const place = {
    id: at.newId(),
    vmId: vm.id,
    hostId: destination.id,
    size,
    byMove: true,
    now: at.now,
  };
  const action: Action = {
    id: at.newId(),
    vmId: vm.id,
    type: "migrate",
    status: "running",
    generation: vm.generation,
    startedAt: at.now,
    finishedAt: null,
    error: null,
  };
  const id = at.newId();
  await insertAction(tx, action);
  await insertMove(tx, {
    id,
    vmId: vm.id,
    actionId: action.id,
    sourceHostId: vm.hostId,
    destinationHostId: destination.id,
    method: way.method,
    sourceEpoch: vm.ownerEpoch,
    epoch: await freshEpoch(tx, vm),
    createdAt: at.now,
    way: {
      address,
      sealedKey: deps.sealer.seal(deps.secrets.newSecret(KEY_BYTES), sealedAs(id)),
      mbitPerSecond: by.mbitPerSecond ?? null,
      format: formatOf(way.ends),
    },
    dueAt: new Date(+at.now + STEP_WITHIN_MS.prepare),
  });
  const { move } = (await loadMove(tx, id)) ?? {};
  if (!move) throw new Error(`move ${id} vanished`);
  await recordChange(
    tx,
    {
      actor: actorOfMove(by.who),
      action: "vm.migrate",
      subject: { kind: "vm", id: vm.id },
      detail: {
        move_id: id,
        action_id: action.id,
        from: vm.hostId,
        to: destination.id,
        method: way.method,
        reason: by.reason,
      },
      events: [{ name: "move.began.v1", data: { moveId: id, vmId: vm.id } }, ...ringBoth(move)],
    },
    at,
  );
  // Hosts' rows last, in one order: everybody who needs several takes them so.
  const [first, second] = [vm.hostId, destination.id].toSorted();
  for (const hostId of [first, second]) {
    if (hostId === undefined) continue;
    if (hostId === destination.id && !(await reserve(tx, place)))
      return refuse("no_capacity", "the room on that host was taken meanwhile");
    await bumpDesiredGeneration(tx, hostId);
  }
  return ok({ action, move });
}

export const ringBoth = ({ vmId, sourceHostId, destinationHostId }: Move) =>
  [sourceHostId, destinationHostId].map((hostId) => ({
    name: "vm.change_requested.v1" as const,
    data: { vmId, hostId },
  }));

const actorOfMove = (who: By): Actor =>
  "job" in who ? { kind: "system", id: who.job } : actorOf(who);
