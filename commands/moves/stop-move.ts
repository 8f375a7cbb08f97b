import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { nextMoveStep, type Move } from "#core/moves/move.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Tx } from "#db/client.ts";
import { loadMove, lockOpenMove } from "#db/moves/moves.ts";
import { recordChange } from "#db/record-change.ts";
import { lockVm } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";
import { takeMoveStep } from "./take-move-step.ts";

type NotStopped = Refusal<"move_not_found" | "move_not_stoppable">;

/**
 * Staff stop a move: the VM stays, or runs again, at its source. Past the release there is no way back, and it is refused; one that is turned
 * back already changes nothing.
 */
export const stopMove = (
  deps: Deps,
  asked: Asked & { who: AccountPrincipal; moveId: string; reason: string },
): Promise<Result<ForcedPlan & { done: Move | null }, NotStopped | Refusal<"plan_changed">>> =>
  force(deps, asked, async (tx): Promise<Result<Planned<Move, NotStopped>, NotStopped>> => {
    const known = await loadMove(tx, asked.moveId);
    if (!known) return refuse("move_not_found", "no such move");
    const vm = await lockVm(tx, known.move.vmId);
    const move = (await lockOpenMove(tx, known.move.vmId))?.move;
    if (!vm || move?.id !== asked.moveId)
      return refuse("move_not_stoppable", `it has ended: ${known.move.outcome}`);
    const { step } = move;
    if (step === "take_over" || step === "clean")
      return refuse(
        "move_not_stoppable",
        "its VM is the destination's by now: it can only go on; move it back when it has ended",
      );
    const isBack = nextMoveStep(step, "turn_back") === undefined;
    return ok({
      of: { moveId: move.id, step },
      effects: isBack
        ? ["nothing: it goes back already"]
        : [
            "its VM stays at its source, and is there what it is to be",
            "what was copied is removed",
          ],
      act: async () => ok(isBack ? move : await turnBack(deps, tx, { ...asked, vm, move })),
    });
  });

async function turnBack(
  deps: Deps,
  tx: Tx,
  {
    who,
    reason,
    ...found
  }: Parameters<typeof takeMoveStep>[1] & {
    who: AccountPrincipal;
    reason: string;
  },
): Promise<Move> {
  const at = stamp(deps);
  await recordChange(
    tx,
    {
      actor: actorOf(who),
      action: "move.stop",
      subject: { kind: "vm", id: found.vm.id },
      detail: { move_id: found.move.id, reason },
      events: [],
    },
    at,
  );
  const failure = { code: "stopped" as const, detail: "stopped by staff" };
  return (await takeMoveStep(tx, found, { kind: "go", to: "hold", failure }, at)).move;
}
