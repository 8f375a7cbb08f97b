import { actorOf, mayTouch, type AccountPrincipal } from "#core/accounts/accounts.ts";
import type { Event } from "#core/contracts/events.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { hostStopsAt } from "#core/billing/entitlement.ts";
import { decideDeletedOrder } from "#core/orders/deleted-order.ts";
import {
  DESTROYS,
  EFFECT_OF_ACTION,
  type Action,
  type ActionType,
  type PlainAction,
} from "#core/vms/action.ts";
import { decideAction, type Asker } from "#core/vms/decide-action.ts";
import { ringChangeOf } from "#db/billing/plan-changes.ts";
import { loadService, saveEntitled, type Service } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { lockOrderOfVm, orderIdOfVm, saveOrder } from "#db/orders/orders.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { finishAction, insertAction, runningActionOf } from "#db/vms/actions.ts";
import { notUnderstood, wordsOfAction } from "#core/vms/words.ts";
import { loadWords, lockVm, saveDesire, type VmRow } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";

export type ActionRefusal = Refusal<
  | "vm_not_found"
  | "vm_locked"
  | "vm_lost"
  | "vm_not_lost"
  | "vm_not_running"
  | "vm_suspended"
  | "vm_protected"
  | "second_person_required"
  | "unsupported_by_agent"
>;

/** A job of ours that asks for it. */
export type Job = Readonly<{ job: string }>;

/**
 * Begins an action on a VM: writes what the VM should be (or the work to be done once), and rings its host. A
 * delete takes over from what runs, which ends as `superseded`; one that is repeated answers with the delete that runs.
 * A VM of another customer is "not found". What destroys a customer's data by staff's word takes two of them: `confirmed` is said by
 * `confirmDestroy` alone.
 */
export async function requestAction(
  deps: Deps,
  input: {
    who: AccountPrincipal | Job;
    vmId: string;
    type: Exclude<PlainAction, "create">;
    confirmed?: true;
    /** Nobody pays for it, and the time in which it was kept is over: its owner's protection holds no room for ever. */
    unpaid?: true;
  },
): Promise<Result<Action, ActionRefusal>> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Result<Action, ActionRefusal>> => {
    const vm = await lockVm(tx, input.vmId);
    if (!vm || !("job" in input.who || mayTouch(input.who, vm.accountId)))
      return refuse("vm_not_found", "no such VM");
    const running = await runningActionOf(tx, vm.id);
    if (running?.type === "delete" && input.type === "delete") return ok(running);
    const by = askerOf(input.who);
    if (needsSecond(deps, by, input))
      return refuse(
        "second_person_required",
        "what is a customer's is destroyed by two of staff: ask for it (a destroy request), and another one confirms it",
      );
    const service = await loadService(tx, vm.id);
    const decided = decideAction(
      {
        presence: vm.presence,
        power: vm.desiredPower,
        stopMode: vm.stopMode,
        generation: vm.generation,
        observedPower: vm.observedPower,
        lostAt: vm.lostAt,
        stopsAt: hostStopsAt(service),
        suspensions: service.suspensions,
        deleteProtected: vm.deleteProtected && input.unpaid !== true,
      },
      running ?? null,
      input.type,
      by,
      at.now,
    );
    if (!decided.ok) return decided;
    const unknown = await unknownToAgent(tx, vm.id, input.type);
    if (unknown.length > 0)
      return refuse(
        "unsupported_by_agent",
        `its host's agent is too old for it: it does not know ${unknown.join(", ")}`,
      );

    const action: Action = {
      id: at.newId(),
      vmId: vm.id,
      type: input.type,
      status: "running",
      generation: decided.value.generation,
      startedAt: at.now,
      finishedAt: null,
      error: null,
    };
    const events: Event[] = [
      { name: "vm.change_requested.v1", data: { vmId: vm.id, hostId: vm.hostId } },
    ];
    if (running && (await supersede(tx, running, at.now)))
      events.push({ name: "action.finished.v1", data: { actionId: running.id, vmId: vm.id } });
    await insertAction(tx, action, { power: vm.desiredPower, stopMode: vm.stopMode });
    await saveDesire(tx, vm.id, decided.value);
    if (input.type === "delete") events.push(...(await giveBackWhatWasNotMade(tx, vm, at.now)));
    // What it was to become it is not any more: what was paid for that goes back.
    if (EFFECT_OF_ACTION[input.type].kind === "absent")
      events.push(
        ...(await ringChangeOf(tx, vm.id, at.now)),
        ...(await cancellationOf(tx, service)),
      );
    await recordChange(
      tx,
      {
        actor: "job" in input.who ? { kind: "system", id: input.who.job } : actorOf(input.who),
        action: `vm.${input.type}`,
        subject: { kind: "vm", id: vm.id },
        detail: { action_id: action.id, generation: action.generation },
        events,
      },
      at,
    );
    await bumpDesiredGeneration(tx, vm.hostId);
    return ok(action);
  });
}

const askerOf = (who: AccountPrincipal | Job): Asker =>
  "job" in who ? "system" : actorOf(who).kind === "staff" ? "staff" : "owner";

const needsSecond = (
  { settings }: Pick<Deps, "settings">,
  by: Asker,
  { type, confirmed }: { type: ActionType; confirmed?: true },
): boolean =>
  by === "staff" && DESTROYS.has(type) && confirmed !== true && settings.oneMayDestroy !== true;

/** What the action asks that the agent of the VM's host would refuse the VM for: it says so before anything is desired. */
async function unknownToAgent(tx: Tx, vmId: string, type: ActionType): Promise<readonly string[]> {
  const asked = await loadWords(tx, vmId);
  return asked ? notUnderstood(wordsOfAction(type, asked.vm), asked.understands) : [];
}

/** Of actions that run only a delete gets here: all others were refused. */
const supersede = (tx: Tx, running: Action, now: Date): Promise<boolean> =>
  finishAction(tx, running.id, {
    error: { code: "superseded", message: `the VM was deleted while this ${running.type} ran` },
    now,
  });

/** A VM that is deleted before it was made is money that goes back, and a right to run that ends (invariant 1). */
async function giveBackWhatWasNotMade(tx: Tx, vm: VmRow, now: Date): Promise<readonly Event[]> {
  const order = await lockOrderOfVm(tx, vm.id);
  const decided = order && decideDeletedOrder(order, vm);
  if (!decided?.ok || decided.value.events.length === 0) return [];
  await saveOrder(tx, decided.value.order);
  const { entitledUntil } = await loadService(tx, vm.id);
  if (entitledUntil > now) await saveEntitled(tx, vm.id, { entitledUntil: now }, now);
  return decided.value.events;
}

/** What bills for a VM that is to be gone is to end. */
async function cancellationOf(
  tx: Tx,
  { vmId, subscriptionId }: Service,
): Promise<readonly Event[]> {
  const orderId = subscriptionId === null ? undefined : await orderIdOfVm(tx, vmId);
  return subscriptionId === null || orderId === undefined
    ? []
    : [{ name: "subscription.cancellation_fell_due.v1", data: { orderId, subscriptionId } }];
}
