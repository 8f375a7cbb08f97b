import type { PriceChangeState } from "#core/billing/price-changes.ts";
import {
  isAsking,
  isRest,
  nextChangeStep,
  type AskingStep,
  type ChangeStep,
  type OwnStep,
} from "#core/billing/plan-change-step.ts";
import { paidByPage, type PlanChange } from "#core/billing/plan-change.ts";
import type { Money } from "#core/money.ts";
import {
  giveUpPlanChange,
  holdPlanChange,
  isHeldUntil,
  letGoOfPlanChange,
  loadPlanChange,
  lockPlanChange,
  planChangesDue,
  type ReadChange,
} from "#db/billing/plan-changes.ts";
import type { Tx } from "#db/client.ts";
import { inTransaction } from "#db/transaction.ts";
import { loadPlan } from "#db/catalogue/catalogue.ts";
import { orderIdOfVm } from "#db/orders/orders.ts";
import { loadVm, lockVm, type VmRow } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { priceAtProvider } from "#commands/catalogue/price-at-provider.ts";
import { noteAnswer, noteAsked, noteGivenBack, take, type At } from "./move-plan-change.ts";
import { seenOfChange } from "./see-plan-change.ts";

/** Longer than a call of the provider takes: of two workers that ask it, one would not know what the other has done. */
const HELD_MS = 120_000;
/** What the provider has not done, or could not be asked, is asked for again. */
const AGAIN_MS = 60_000;
const QUIETLY_MS = 5 * 60_000;
/** More steps than there are. */
const MOST_STEPS = 40;

/**
 * Follows a change as far as it goes now: each step is what its planner says by what is stored and seen, is one transaction or one
 * call of the provider, and may be repeated. One worker at a time. Throws when the provider cannot be reached; what can be done
 * without it is done before.
 */
export async function followPlanChange(
  deps: Deps,
  id: string,
): Promise<"ended" | "waits" | "held" | "unknown"> {
  const known = await loadPlanChange(deps.db, id);
  if (!known) return "unknown";
  if (known.change.outcome !== null) return "ended";
  const now = deps.clock.now();
  const until = new Date(+now + HELD_MS);
  if (!(await holdPlanChange(deps.db, id, { now, until }))) return "held";
  try {
    return await goOn(deps, id, until);
  } catch (error) {
    await giveUpPlanChange(deps.db, id, { dueAt: new Date(+deps.clock.now() + AGAIN_MS), until });
    throw error;
  }
}

async function goOn(deps: Deps, id: string, until: Date): Promise<"ended" | "waits" | "held"> {
  let asked: AskingStep["kind"] | undefined;
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    const next = await stepOf(deps, id);
    const { step, change, version } = next;
    if (step.kind === "ended") return "ended";
    const isAnswered = asked !== undefined && (step.kind === asked || step.kind === "look");
    if (step.kind === "wait" || isAnswered) {
      const dueAt = dueAfter(next, deps.clock.now());
      if (await letGoOfPlanChange(deps.db, id, { version, dueAt, until })) return "waits";
      if (!(await isMine(deps, id, until))) return "held";
      continue;
    }
    if (isAsking(step)) {
      asked = step.kind;
      if (!(await ask(deps, change, step, until))) return "held";
    } else await takeOwn(deps, change, step);
  }
  throw new Error(`change ${id} takes steps and does not come to an end`);
}

/** Whatever it waits for rings; a bell that is lost costs minutes. */
function dueAfter({ step, change }: Next, now: Date): Date {
  const again = new Date(+now + (step.kind === "wait" ? QUIETLY_MS : AGAIN_MS));
  if (step.kind !== "wait" || step.until === null) return again;
  return change.reservedAt === null || step.until < again ? step.until : again;
}

type Next = ReadChange & Readonly<{ step: ChangeStep }>;

/** What its planner says now. */
async function stepOf(deps: Deps, id: string): Promise<Next> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    const read = await loadPlanChange(tx, id);
    const vm = read && (await loadVm(tx, read.change.vmId));
    if (!read || !vm) throw new Error(`change ${id} vanished`);
    const seen = await seenOfChange(tx, read.change, vm);
    return { ...read, step: nextChangeStep(read.change, seen, at.now) };
  });
}

const isMine = (deps: Deps, id: string, until: Date): Promise<boolean> =>
  inTransaction(deps.db, (tx) => isHeldUntil(tx, id, until));

/**
 * Asks the provider, and writes down what it says. false: it answered so late that another worker has taken the change meanwhile, and
 * nothing is written down: that one has asked, too, or will.
 */
async function ask(
  deps: Deps,
  change: PlanChange,
  { kind }: AskingStep,
  until: Date,
): Promise<boolean> {
  let isOurs = true;
  const note = (work: Work) =>
    held(deps, change, async (tx, found, at) => {
      isOurs = await isHeldUntil(tx, change.id, until);
      if (isOurs) await work(tx, found, at);
    });
  // A call that began later might go on when another worker begins.
  if (deps.clock.now() >= until) throw new Error(`change ${change.id} was held for too long`);
  if (kind === "prepare") {
    const prices = await pricesOf(deps, change);
    await note((tx, found, at) => noteAsked(tx, found, prices, at));
  } else if (kind === "undo") {
    const { id: changeId, fromPriceId: priceId, paysBy } = change;
    const subscriptionId = subscriptionOf(change);
    if (priceId === null) throw new Error(`change ${changeId} was made without its old price`);
    if (await deps.payments.undoChange({ changeId, subscriptionId, paysBy, priceId }))
      await note(noteGivenBack);
  } else {
    const answer = await answerOf(deps, change, kind);
    await note((tx, found, at) => noteAnswer(tx, found, answer, at));
    if (!isOurs && answer.kind !== "not_there") await undoLate(deps, change);
  }
  return isOurs;
}

/**
 * The provider did what was asked so late that the change was dropped meanwhile, and that found nothing to drop: it goes back now, as
 * nobody looks at its money any more.
 */
async function undoLate(deps: Deps, { id }: PlanChange): Promise<void> {
  const { change } = (await loadPlanChange(deps.db, id)) ?? {};
  if (change?.money !== "dropped" || change.fromPriceId === null) return;
  const { fromPriceId: priceId, paysBy } = change;
  const of = { changeId: id, subscriptionId: subscriptionOf(change), paysBy, priceId };
  const told = { plan_change_id: id, subscription_id: of.subscriptionId };
  try {
    const isBack = await deps.payments.undoChange(of);
    // A person looks whether it came back whole.
    deps.log.error("follow_plan_change.answered_late", { ...told, is_back: isBack });
  } catch (error) {
    deps.log.error("follow_plan_change.answered_late", { ...told, is_back: false, error });
  }
}

/** What was planned was planned by what was read: under the lock it is planned again. */
const takeOwn = (deps: Deps, change: PlanChange, step: OwnStep): Promise<void> =>
  held(deps, change, async (tx, found, at) => {
    const seen = await seenOfChange(tx, found.change, found.vm);
    const next = nextChangeStep(found.change, seen, at.now);
    if (next.kind === step.kind && !isAsking(next) && !isRest(next))
      await take(tx, found, next, at);
  });

const subscriptionOf = ({ id, subscriptionId }: PlanChange): string => {
  if (subscriptionId === null) throw new Error(`change ${id} asks the provider of no subscription`);
  return subscriptionId;
};

type Work = (tx: Tx, found: { vm: VmRow; change: PlanChange }, at: At) => Promise<void>;

/** One transaction with the VM and the change held. */
const held = (deps: Deps, { id, vmId }: PlanChange, work: Work): Promise<void> => {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    const vm = await lockVm(tx, vmId);
    const found = await lockPlanChange(tx, id);
    if (!vm || !found) throw new Error(`change ${id} vanished`);
    await work(tx, { vm, change: found.change }, at);
  });
};

async function answerOf(
  deps: Deps,
  change: PlanChange,
  what: "ask" | "look" | "drop",
): Promise<PriceChangeState> {
  const { paysBy } = change;
  const of = { changeId: change.id, subscriptionId: subscriptionOf(change) };
  const amount = paidByPage(change);
  if (what === "drop") return deps.payments.dropChange({ ...of, paysBy });
  // What is paid on its page is gone on with by who looks.
  if (what === "look" && amount === null) return deps.payments.fetchChange(of);
  if (change.toPriceId === null) throw new Error(`change ${change.id} asks for no price`);
  // What was quoted for now; what was to come with the renewal is worked out from when it is asked for.
  const at = wholeSeconds(
    change.when === "now" ? change.pricedFor : (change.askedAt ?? change.pricedFor),
  );
  const asked = { ...of, priceId: change.toPriceId, at };
  if (amount === null) return deps.payments.changePrice({ ...asked, how: howOf(change) });
  return deps.payments.changePaidByPage({ ...asked, page: await pageOf(deps, change, amount) });
}

const wholeSeconds = (at: Date) => new Date(Math.floor(+at / 1000) * 1000);

const howOf = ({ billing, order, paysBy }: PlanChange) =>
  billing === "none"
    ? "none"
    : order === "pay_first" && paysBy === "card"
      ? "pay_first"
      : "prorate";

/** Where it is paid, for as long as it waits for that. */
async function pageOf(deps: Deps, { id, vmId, to, payBy }: PlanChange, amount: Money) {
  const orderId = await inTransaction(deps.db, (tx) => orderIdOfVm(tx, vmId));
  if (orderId === undefined || payBy === null)
    throw new Error(`change ${id} has no order, or waits for no payment`);
  const { name } = await loadPlan(deps.db, to);
  return {
    amount,
    orderId,
    description: `${name}: the rest of the present period`,
    successUrl: `${deps.settings.publicUrl}/checkout/done`,
    cancelUrl: `${deps.settings.publicUrl}/checkout/cancelled`,
    expiresAt: payBy,
  };
}

/** The provider's prices of before and after. */
async function pricesOf(
  deps: Deps,
  change: PlanChange,
): Promise<{ fromPriceId: string; toPriceId: string }> {
  const billed = await deps.payments.fetchBilled(subscriptionOf(change));
  const { planId, planVersion, price } = change.to;
  if (price === null || price.interval === "hour")
    throw new Error(`change ${change.id} is to a price that no subscription has`);
  const { interval, amount } = price;
  const { currency } = amount;
  const toPriceId = await priceAtProvider(deps, { planId, planVersion, interval, currency });
  return { fromPriceId: billed.priceId, toPriceId };
}

/** What a lost message or a provider's failure left behind, what waits for a deadline, and what begins before a renewal. */
export async function followPlanChanges(
  deps: Deps,
): Promise<{ ended: number; waiting: number; failed: number }> {
  const count = { ended: 0, waiting: 0, failed: 0 };
  for (const id of await planChangesDue(deps.db, deps.clock.now(), 50)) {
    try {
      const followed = await followPlanChange(deps, id);
      if (followed === "ended") count.ended++;
      else count.waiting++;
    } catch (error) {
      count.failed++;
      deps.log.error("follow_plan_changes.failed", { plan_change_id: id, error });
    }
  }
  return count;
}
