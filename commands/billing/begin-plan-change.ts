import { actorOf, mayTouch, type Asker } from "#core/accounts/accounts.ts";
import { mayBeDropped, type PlanChange } from "#core/billing/plan-change.ts";
import { onBegin } from "#core/billing/plan-change-moves.ts";
import type { Bought, Quote } from "#core/billing/quote.ts";
import { canonicalJson } from "#core/contracts/canonical-json.ts";
import { toMoneyView } from "#core/money.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action } from "#core/vms/action.ts";
import {
  changeOfQuote,
  insertPlanChange,
  loadPlanChange,
  openChangeOf,
} from "#db/billing/plan-changes.ts";
import { loadQuote, takeQuote } from "#db/billing/quotes.ts";
import { loadResizing } from "#db/billing/resizing.ts";
import { loadService, type Service } from "#db/billing/services.ts";
import { recordChange } from "#db/record-change.ts";
import { insertAction, runningActionOf } from "#db/vms/actions.ts";
import { lockVm, type VmRow } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";
import { basisOf, billedOf, stateOf } from "./resize-state.ts";
import { dropPlanChange } from "./drop-plan-change.ts";
import { holdRoom } from "./move-plan-change.ts";

export type TakeRefusal = Refusal<
  | "vm_not_found"
  | "vm_locked"
  | "vm_lost"
  | "quote_not_found"
  | "quote_expired"
  | "quote_outdated"
  | "quote_taken"
  | "no_capacity"
>;

type Begun = Result<{ action: Action; change: PlanChange }, TakeRefusal>;

type Asked = Readonly<{ who: Asker; vmId: string; quoteId: string }>;

/** It waits for the renewal. */
const NOT_BEGUN = { reservedAt: null, payBy: null, seeBy: null } as const;

const noQuote = () => refuse("quote_not_found", "no such quote for this VM");
const outdated = () =>
  refuse("quote_outdated", "what it was worked out from is something else by now: ask for another");

/**
 * Takes a quote: begins the change that it offers, as an action that waits until its host is told. Room for both sizes is held from
 * now on, unless it waits for the renewal. The provider is asked by whoever follows the change, after the commit.
 *
 * A change of before that still waits is dropped first by `makeWay`, which is called before, outside of any transaction.
 */
export async function beginPlanChange(
  deps: Deps,
  asked: Asked & { basisHolds: boolean; reason?: string },
): Promise<Begun> {
  const at = stamp(deps);
  return undoOnRefusal(deps.db, async (tx): Promise<Begun> => {
    const vm = await lockVm(tx, asked.vmId);
    if (!vm || vm.presence === "absent" || !mayTouch(asked.who, vm.accountId))
      return refuse("vm_not_found", "no such VM");
    const actionId = at.newId();
    const known = await loadQuote(tx, asked.quoteId);
    if (!known || !isOf(known, asked)) return noQuote();
    const quote = await takeQuote(tx, known.id, { actionId, now: at.now });
    if (!quote) return refuse("quote_taken", "this quote was taken before");
    if (at.now >= quote.expiresAt) return refuse("quote_expired", "this quote has run out");
    if (vm.lostAt !== null)
      return refuse("vm_lost", "its host says that this VM is not there any more");
    const service = await loadService(tx, vm.id);
    if (!asked.basisHolds || !isAsQuoted(quote, vm, service)) return outdated();
    const running = await runningActionOf(tx, vm.id);
    if (running && quote.when === "now")
      return refuse("vm_locked", `a ${running.type} is running; wait for it to end`);
    if (await openChangeOf(tx, vm.id))
      return refuse("vm_locked", "another change of this VM is under way: wait for it to end");
    if (quote.when === "now" && !(await holdRoom(tx, quote)))
      return refuse("no_capacity", "its host has no room for that size now");

    const action: Action = {
      id: actionId,
      vmId: vm.id,
      type: "resize",
      status: "waiting",
      generation: vm.generation,
      startedAt: at.now,
      finishedAt: null,
      error: null,
    };
    await insertAction(tx, action);
    const planChangeId = at.newId();
    await insertPlanChange(tx, {
      id: planChangeId,
      vmId: vm.id,
      quoteId: quote.id,
      actionId,
      subscriptionId: service.subscriptionId,
      money: service.subscriptionId === null || isOnePrice(quote) ? "exempt" : "not_asked",
      machine: quote.method === "none" ? "none" : "waiting",
      createdAt: at.now,
      ...(quote.when === "now" ? onBegin(quote.order, at.now) : NOT_BEGUN),
    });
    await recordChange(
      tx,
      {
        actor: actorOf(asked.who),
        action: "vm.resize",
        subject: { kind: "vm", id: vm.id },
        detail: {
          action_id: actionId,
          quote_id: quote.id,
          plan_change_id: planChangeId,
          when: quote.when,
          billing: quote.billing,
          ...(asked.reason !== undefined && { reason: asked.reason }),
        },
        events: [
          { name: "plan_change.began.v1", data: { planChangeId, vmId: vm.id } },
          { name: "plan_change.fell_due.v1", data: { planChangeId } },
        ],
      },
      at,
    );
    const { change } = (await loadPlanChange(tx, planChangeId)) ?? {};
    if (!change) throw new Error(`change ${planChangeId} vanished`);
    return ok({ action, change });
  });
}

/** Of this VM, and asked for by whoever takes it. */
const isOf = (quote: Quote, { who, vmId }: Asked): boolean =>
  quote.vmId === vmId && quote.askedBy === who.accountId;

/** No other price comes of it, or whoever pays keeps it: the provider is asked for nothing. */
const isOnePrice = ({ from, to }: Quote): boolean =>
  from.price === null ||
  to.price === null ||
  to.priceKept === true ||
  (from.planId === to.planId &&
    from.planVersion === to.planVersion &&
    from.price.interval === to.price.interval);

const text = ({ price, ...bought }: Bought) =>
  canonicalJson({
    ...bought,
    price: price && { interval: price.interval, amount: toMoneyView(price.amount) },
  });

/** Whether what is had is what the quote was worked out from: none of it moves while the VM is held. */
const isAsQuoted = ({ from }: Quote, vm: VmRow, service: Service): boolean => {
  const { planId, planVersion, price } = service;
  const { vcpus, memoryMib, diskGib, bandwidthMbit, diskIops } = vm;
  const machine = { vcpus, memoryMib, diskGib, bandwidthMbit, diskIops };
  return text(from) === text({ planId, planVersion, price, machine });
};

/**
 * Before a quote is taken, and outside of any transaction: drops the change of before that still waits, for whoever may take this one,
 * so that its invoice is void before another is made, and looks whether what the quote was worked out from still holds. Of a quote
 * that was taken, or will be refused anyway, it does nothing.
 *
 * Throws when the provider cannot be reached.
 */
export async function makeWay(deps: Deps, asked: Asked): Promise<{ basisHolds: boolean }> {
  const { db } = deps;
  const quote = await loadQuote(db, asked.quoteId);
  if (!quote || !isOf(quote, asked) || deps.clock.now() >= quote.expiresAt)
    return { basisHolds: true };
  if ((await changeOfQuote(db, quote.id)) !== undefined) return { basisHolds: true };
  const open = await openChangeOf(db, asked.vmId);
  if (open && mayBeDropped(open))
    await dropPlanChange(deps, { who: asked.who, vmId: asked.vmId, why: "replaced" });
  const found = await loadResizing(db, asked.vmId);
  if (!found) return { basisHolds: true };
  const billed = await billedOf(deps, found);
  return {
    basisHolds: quote.basis === basisOf(stateOf(found, deps.clock.now()), quote.to, billed),
  };
}
