import { ERROR_OF_TURN_BACK, type PlanChange, type TurnBack } from "#core/billing/plan-change.ts";
import {
  onAnswer,
  onApply,
  onAsk,
  onBegin,
  onEnd,
  onGivenBack,
  onMachineBack,
  onSee,
  onTurnBack,
  wasTold,
  type ChangedOfChange,
} from "#core/billing/plan-change-moves.ts";
import type { OwnStep } from "#core/billing/plan-change-step.ts";
import { creditPaid, toOrder } from "#core/billing/ledger.ts";
import type { PagePayment, PriceChangeState } from "#core/billing/price-changes.ts";
import type { MachineSize, Quote } from "#core/billing/quote.ts";
import type { Event } from "#core/contracts/events.ts";
import { MACHINE_IS_BACK } from "#core/vms/change-machine.ts";
import { post } from "#db/billing/ledger.ts";
import { savePlanChange } from "#db/billing/plan-changes.ts";
import { migrationOfChange } from "#db/billing/migration-vms.ts";
import { saveBought } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { resizeReservation } from "#db/hosts/capacity.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { loadOrder, orderIdOfVm } from "#db/orders/orders.ts";
import { finishAction, startWaiting } from "#db/vms/actions.ts";
import { saveSize, type VmRow } from "#db/vms/vms.ts";

/* The steps of a change that are one transaction each, with its audit row and its events. The caller holds VM and change. */

export type At = Readonly<{ now: Date; newId: () => string }>;
type Found = Readonly<{ vm: VmRow; change: PlanChange }>;

const ACTOR: Actor = { kind: "system", id: "follow-plan-change" };

/** Both sizes are counted until the change ends: of each resource the larger. */
export const holdRoom = async (
  tx: Tx,
  { vmId, method, to }: Pick<Quote, "vmId" | "method" | "to">,
): Promise<boolean> =>
  method === "none" || (await resizeReservation(tx, vmId, to.machine, "at_least"));

/** Saves what a step changes, and says so. */
async function save(
  tx: Tx,
  { vm, change }: Found,
  step: string,
  changed: ChangedOfChange,
  at: At,
  { events = [], actor = ACTOR }: { events?: readonly Event[]; actor?: Actor } = {},
): Promise<void> {
  await savePlanChange(tx, change.id, changed);
  const { money: toMoney = change.money, machine: toMachine = change.machine } = changed;
  await recordChange(
    tx,
    {
      actor,
      action: `plan_change.${step}`,
      subject: { kind: "vm", id: vm.id },
      detail: {
        plan_change_id: change.id,
        money: toMoney,
        machine: toMachine,
        ...((changed.turnedBack ?? null) !== null && { why: changed.turnedBack ?? null }),
      },
      events,
    },
    at,
  );
}

/** Desires the size of its VM's host, as a generation of its own, and rings it. */
async function desire(
  tx: Tx,
  vm: VmRow,
  size: MachineSize,
): Promise<{ generation: number; ring: Event }> {
  const generation = vm.generation + 1;
  await saveSize(tx, vm.id, { ...size, generation });
  const ring: Event = {
    name: "vm.change_requested.v1",
    data: { vmId: vm.id, hostId: vm.hostId },
  };
  return { generation, ring };
}

/** Takes a step that asks nobody outside. Of whoever turned it back `turnBack` is told. */
export async function take(tx: Tx, found: Found, step: OwnStep, at: At): Promise<void> {
  const { vm, change } = found;
  switch (step.kind) {
    case "begin":
      if (!(await holdRoom(tx, change)))
        return turnBack(tx, { ...found, why: "no_room" }, at, ACTOR);
      return save(tx, found, "begin", onBegin(change.order, at.now), at);
    case "apply": {
      const { generation, ring } = await desire(tx, vm, change.to.machine);
      await startWaiting(tx, { id: change.actionId, vmId: vm.id, generation });
      await save(tx, found, "apply", onApply(change, generation, at.now), at, { events: [ring] });
      await bumpDesiredGeneration(tx, vm.hostId);
      return;
    }
    case "see":
      return save(tx, found, "see", onSee(change, at.now), at);
    case "keep_disk": {
      // It can't shrink: what has grown stays, and is not charged.
      const diskGib = vm.seenDiskGib ?? vm.diskGib;
      const { generation, ring } = await desire(tx, vm, { ...change.from.machine, diskGib });
      await save(tx, found, "keep_disk", { generation }, at, { events: [ring] });
      await bumpDesiredGeneration(tx, vm.hostId);
      return;
    }
    case "see_old":
    case "let_go": {
      const to = onMachineBack(change, step.kind, at.now);
      const events = await endAction(tx, change, at);
      return save(tx, found, step.kind, to, at, { events });
    }
    case "turn_back":
      return turnBack(tx, { ...found, why: step.why }, at, ACTOR);
    case "end":
      return end(tx, found, step.as, at);
  }
}

/** Turns a change back: from now on all that follows leads to the old price and the old size. */
export async function turnBack(
  tx: Tx,
  { vm, change, why }: Found & { why: TurnBack },
  at: At,
  actor: Actor,
): Promise<void> {
  const isGone = vm.presence === "absent" || vm.lostAt !== null;
  const to = onTurnBack(change, { why, isGone }, at.now);
  const turned = { ...change, ...to };
  // One that only waits ends with its money; until then it keeps nobody from the VM.
  const endsNow = wasTold(change) && MACHINE_IS_BACK.has(turned.machine);
  const events: Event[] = [
    { name: "plan_change.fell_due.v1", data: { planChangeId: change.id } },
    ...(endsNow ? await endAction(tx, turned, at) : []),
  ];
  if (!wasTold(change) || vm.presence === "absent")
    return save(tx, { vm, change }, "turn_back", to, at, { events, actor });
  // Also one that is lost: should it come back, it is to be as it was. A disk that has grown stays, and of one that is lost nobody
  // can see whether it has.
  const mayHave = vm.seenDiskGib ?? (isGone ? change.to.machine.diskGib : 0);
  const diskGib = Math.max(change.from.machine.diskGib, mayHave);
  const { generation, ring } = await desire(tx, vm, { ...change.from.machine, diskGib });
  await save(tx, { vm, change }, "turn_back", { ...to, generation }, at, {
    events: [...events, ring],
    actor,
  });
  await bumpDesiredGeneration(tx, vm.hostId);
}

/** The action says why, once its machine is what it was: nothing of it keeps others from the VM any longer. */
async function endAction(
  tx: Tx,
  { actionId, vmId, turnedBack }: PlanChange,
  at: At,
): Promise<readonly Event[]> {
  if (turnedBack === null) throw new Error(`action ${actionId} ends as an error without a reason`);
  const error = { code: ERROR_OF_TURN_BACK[turnedBack], message: turnedBack };
  return (await finishAction(tx, actionId, { error, now: at.now }))
    ? [{ name: "action.finished.v1", data: { actionId, vmId } }]
    : [];
}

/** Money and machine agree: what was bought is what is had, and no more room is held than for that. */
async function end(tx: Tx, found: Found, as: "committed" | "reverted", at: At): Promise<void> {
  const { vm, change } = found;
  const events: Event[] = [];
  const data = { planChangeId: change.id, vmId: vm.id };
  if (as === "committed") {
    await saveBought(tx, vm.id, change.to, at.now);
    if (await finishAction(tx, change.actionId, { error: null, now: at.now }))
      events.push({
        name: "action.finished.v1",
        data: { actionId: change.actionId, vmId: vm.id },
      });
    events.push({ name: "plan_change.committed.v1", data });
  } else {
    events.push(...(await endAction(tx, change, at)));
    events.push({ name: "plan_change.reverted.v1", data });
  }
  // Whoever follows the migration that it is a part of has the next one's turn.
  const planMigrationId = await migrationOfChange(tx, change.id);
  if (planMigrationId !== undefined)
    events.push({ name: "plan_migration.fell_due.v1", data: { planMigrationId } });
  await save(tx, found, as === "committed" ? "commit" : "revert", onEnd(as, at.now), at, {
    events,
  });
  // What is to go holds its room until it is gone, whatever size it has until then.
  const holds = change.method !== "none" && change.reservedAt !== null && vm.presence === "present";
  if (holds) await resizeReservation(tx, vm.id, vm, "exactly");
}

/** Before the provider is asked. */
export async function noteAsked(
  tx: Tx,
  found: Found,
  prices: { fromPriceId: string; toPriceId: string },
  at: At,
): Promise<void> {
  if (found.change.money === "not_asked")
    await save(tx, found, "ask", onAsk(found.change, prices, at.now), at);
}

const STEP_OF_ANSWER = {
  waiting: "wait",
  applied: "price",
  paid: "collect",
  not_there: "lapse",
} as const;

export async function noteAnswer(
  tx: Tx,
  found: Found,
  answer: PriceChangeState,
  at: At,
): Promise<void> {
  if (answer.kind === "applied" || answer.kind === "paid")
    await bookPage(tx, found.change, answer.payment, at);
  const changed = onAnswer(found.change, answer, at.now);
  if (changed) await save(tx, found, STEP_OF_ANSWER[answer.kind], changed, at);
}

/** What was paid on its page is in our books whatever becomes of the change: its refund is booked as well. */
async function bookPage(
  tx: Tx,
  { id, vmId }: PlanChange,
  payment: PagePayment | null,
  at: At,
): Promise<void> {
  if (payment === null) return;
  const orderId = await orderIdOfVm(tx, vmId);
  const order = orderId === undefined ? undefined : await loadOrder(tx, orderId);
  if (!order) throw new Error(`change ${id} was paid for no order`);
  await post(tx, creditPaid(toOrder(order), payment.id, payment.amount), at);
}

export async function noteGivenBack(tx: Tx, found: Found, at: At): Promise<void> {
  if (found.change.money === "undoing")
    await save(tx, found, "give_back", onGivenBack(found.change), at);
}
