import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action, ActionType } from "#core/vms/action.ts";
import { callOff, type CalledOff } from "#core/vms/call-off.ts";
import { bumpDesiredGeneration, lockServed } from "#db/hosts/hosts.ts";
import { recordChange } from "#db/record-change.ts";
import type { Tx } from "#db/client.ts";
import { finishAction, loadKeptAction, type KeptAction } from "#db/vms/actions.ts";
import { lockVm, saveDesire, type VmRow } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";
import { withdrawUnoffered } from "./withdraw-initial-password.ts";

type NotCalledOff = Refusal<
  | "vm_not_found"
  | "action_not_found"
  | "action_ended"
  | "action_not_cancellable"
  | "action_may_be_under_way"
>;

/**
 * Staff call off an action that runs: what it asked for is asked for no longer, and its host is rung. One that its host may have
 * begun is refused, unless they abandon it, and then it ends with that word. As every force it is looked at first, and done by the
 * look's hash.
 */
export const callOffAction = (
  deps: Deps,
  asked: Asked & { who: AccountPrincipal; vmId: string; actionId: string; abandon: boolean },
): Promise<Result<ForcedPlan & { done: Action | null }, NotCalledOff | Refusal<"plan_changed">>> =>
  force(deps, asked, async (tx): Promise<Result<Planned<Action, NotCalledOff>, NotCalledOff>> => {
    const vm = await lockVm(tx, asked.vmId);
    if (!vm) return refuse("vm_not_found", "no such VM");
    const kept = await loadKeptAction(tx, asked);
    if (!kept) return refuse("action_not_found", "no such action of this VM");
    // Held until the commit: its host is given no document meanwhile that holds the action.
    const { served } = (await lockServed(tx, vm.hostId)) ?? {};
    const how = asked.abandon ? "abandon" : "cancel";
    const decided = callOff(
      { ...vm, power: vm.desiredPower },
      kept,
      served?.generation ?? null,
      how,
    );
    if (!decided.ok) return decided;
    const { end, desire } = decided.value;
    return ok({
      of: { vmId: vm.id, actionId: asked.actionId, how, code: end?.code ?? null },
      effects: effectsOf(kept.action.type, vm, decided.value),
      act: async () =>
        ok(
          end === null
            ? kept.action
            : await carryOut(deps, tx, { ...asked, vm, kept, end, desire }),
        ),
    });
  });

function effectsOf(
  type: ActionType,
  { desiredPower: before }: VmRow,
  { end, desire }: CalledOff,
): readonly string[] {
  if (end === null) return [`nothing: this ${type} was called off before`];
  return [
    end.code === "cancelled"
      ? `the ${type} is asked for no longer: its host was not told of it`
      : `the ${type} is waited for no longer; its host may have carried it out, or still do`,
    ...(desire.power === before
      ? []
      : [`it is to be ${desire.power} again, as it was before the ${type}`]),
  ];
}

async function carryOut(
  deps: Deps,
  tx: Tx,
  of: Readonly<{
    who: AccountPrincipal;
    abandon: boolean;
    vm: VmRow;
    kept: KeptAction;
    end: NonNullable<CalledOff["end"]>;
    desire: CalledOff["desire"];
  }>,
): Promise<Action> {
  const { vm, end, desire } = of;
  const { action } = of.kept;
  const at = stamp(deps);
  if (!(await finishAction(tx, action.id, { error: end, now: at.now })))
    throw new Error(`action ${action.id} ended while its VM was held`);
  await saveDesire(tx, vm.id, desire);
  if (action.type === "recreate") await withdrawUnoffered(tx, vm.id, at.now);
  await recordChange(
    tx,
    {
      actor: { kind: "staff", id: of.who.accountId },
      action: of.abandon ? "action.abandon" : "action.cancel",
      subject: { kind: "action", id: action.id },
      detail: { vm_id: vm.id, type: action.type, code: end.code, power: desire.power },
      events: [
        { name: "action.finished.v1", data: { actionId: action.id, vmId: vm.id } },
        { name: "vm.change_requested.v1", data: { vmId: vm.id, hostId: vm.hostId } },
      ],
    },
    at,
  );
  await bumpDesiredGeneration(tx, vm.hostId);
  return { ...action, status: "error", finishedAt: at.now, error: end };
}
