import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { withReason, type Suspension } from "#core/billing/suspension.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { SUSPENSION_MEETS, type Action } from "#core/vms/action.ts";
import { loadService, saveStaffsWord } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { recordChange } from "#db/record-change.ts";
import { finishAction, runningActionOf } from "#db/vms/actions.ts";
import { lockVm, saveDesire, type VmRow } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";

export type SuspendRefusal = Refusal<"vm_not_found" | "vm_locked">;
type Input = Asked &
  Readonly<{ who: AccountPrincipal; vmId: string; reason: Suspension; note: string }>;

/**
 * Staff stop a VM for a reason that no payment ends. It is off on its host, and stays off, until each of its reasons is lifted;
 * what its owner asked for stays as it is. `note` is for staff, and stands in the audit log.
 */
export const suspendVm = (
  deps: Deps,
  input: Input,
): Promise<Result<ForcedPlan, SuspendRefusal | Refusal<"plan_changed">>> =>
  force(deps, input, (tx) => plan(deps, tx, input, true));

/** Takes one reason away. With the last one the VM has the power again that its owner asked for: what was off does not boot. */
export const unsuspendVm = (
  deps: Deps,
  input: Input,
): Promise<Result<ForcedPlan, SuspendRefusal | Refusal<"plan_changed">>> =>
  force(deps, input, (tx) => plan(deps, tx, input, false));

async function plan(
  deps: Deps,
  tx: Tx,
  input: Input,
  is: boolean,
): Promise<Result<Planned<null, SuspendRefusal>, SuspendRefusal>> {
  const vm = await lockVm(tx, input.vmId);
  if (!vm || vm.presence === "absent") return refuse("vm_not_found", "no such VM");
  const running = (await runningActionOf(tx, vm.id)) ?? null;
  const met = running && SUSPENSION_MEETS[running.type];
  if (is && met === "waits")
    return refuse("vm_locked", "it is being made: suspend it when that has ended");
  const before = (await loadService(tx, vm.id)).suspensions;
  const after = withReason(before, input.reason, is);
  const ended = is && before.length === 0 && met === "ends_it" ? running : null;
  return ok({
    of: { vmId: vm.id, reason: input.reason, is, before, power: vm.desiredPower },
    effects: effectsOf({ vm, reason: input.reason, before, after, ended }),
    act: async () => {
      if (before.length !== after.length) await change(deps, tx, { ...input, vm, after, ended });
      return ok(null);
    },
  });
}

async function change(
  deps: Deps,
  tx: Tx,
  to: Input & { vm: VmRow; after: readonly Suspension[]; ended: Action | null },
): Promise<void> {
  const { vm, after, ended, reason, note } = to;
  const at = stamp(deps);
  const suspends = after.includes(reason);
  await saveStaffsWord(tx, vm.id, { suspensions: after }, at.now);
  if (ended !== null) {
    const error = {
      code: "suspended",
      message: `the VM was suspended while this ${ended.type} ran`,
    };
    await finishAction(tx, ended.id, { error: { ...error, code: "suspended" }, now: at.now });
  }
  // What was seen before is no word of what it is to be from now on.
  const { presence, desiredPower: power, stopMode, generation } = vm;
  await saveDesire(tx, vm.id, { presence, power, stopMode, generation: generation + 1 });
  await recordChange(
    tx,
    {
      actor: actorOf(to.who),
      action: suspends ? "vm.suspend" : "vm.unsuspend",
      subject: { kind: "vm", id: vm.id },
      detail: { reason, note },
      events: [
        { name: suspends ? "vm.suspended.v1" : "vm.unsuspended.v1", data: { vmId: vm.id } },
        ...(ended
          ? [{ name: "action.finished.v1" as const, data: { actionId: ended.id, vmId: vm.id } }]
          : []),
        { name: "vm.change_requested.v1", data: { vmId: vm.id, hostId: vm.hostId } },
      ],
    },
    at,
  );
  await bumpDesiredGeneration(tx, vm.hostId);
}

function effectsOf(of: {
  vm: VmRow;
  reason: Suspension;
  before: readonly Suspension[];
  after: readonly Suspension[];
  ended: Action | null;
}): readonly string[] {
  const { vm, reason, before, after, ended } = of;
  const others = after.filter((each) => each !== reason);
  if (before.length === after.length)
    return [`nothing: it is ${after.includes(reason) ? "" : "not "}suspended for ${reason}`];
  if (after.length > before.length)
    return [
      others.length > 0 || vm.desiredPower === "off"
        ? "it stays off"
        : "its host shuts it down, and cuts its power where the guest does not follow",
      ...(ended ? [`the ${ended.type} that runs ends as suspended`] : []),
      "its customer reads the reason, and cannot start it; its price is charged as before",
    ];
  if (others.length > 0) return [`it stays off, suspended for ${others.join(", ")}`];
  return [
    vm.desiredPower === "running"
      ? "its host starts it, if it is paid for"
      : "it stays off, as it was",
  ];
}
