import {
  nextDunningStep,
  type DunningOutcome,
  type DunningSeen,
  type DunningState,
} from "#core/billing/dunning.ts";
import { hasEnded, hostStopsAt, runsUntil } from "#core/billing/entitlement.ts";
import { keepsData } from "#core/billing/suspension.ts";
import type { FindingKind } from "#core/hosts/finding.ts";
import type { MailKind } from "#core/messages/mail.ts";
import { overBoughtFindings } from "#db/billing/bought-changes.ts";
import { policyFor } from "#db/billing/dunning-policies.ts";
import {
  closeDunning,
  dunningsDue,
  findDunning,
  insertDunning,
  lockDunning,
  moveDunning,
  putOffDunning,
  vmsToDun,
  type OpenDunning,
  type ToDun,
} from "#db/billing/dunnings.ts";
import { lockService, saveWarned, type Service } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import type { Finding } from "#db/hosts/findings.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { findMail, insertDueMails } from "#db/messages/mails.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockVm, type VmRow } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { endThese, logFindings, openFindings } from "#commands/hosts/note-findings.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { revivedUnheard } from "./follow-revival.ts";
import { cancelSubscription } from "./cancel-subscription.ts";

type At = { now: Date; newId: () => string };
const ACTOR = { kind: "system", id: "dunning" } as const;
const AT_ONCE = 100;

/** What its owner is told when a dunning comes to a state. */
const MAILS: Readonly<Partial<Record<DunningState, MailKind>>> = {
  begun: "payment_overdue",
  suspended: "vm_stopped_for_debt",
  terminated: "vm_kept_after_end",
};

/**
 * Begins to dun for what is owed, and takes each dunning its next step, if that is due. Each step may be repeated, and is taken from
 * what is: whoever was away for weeks skips none (`core/billing/dunning.ts`).
 */
export async function dun(
  deps: Deps,
): Promise<{ begun: number; moved: number; closed: number; failed: number }> {
  const count = { begun: 0, moved: 0, closed: 0, failed: 0 };
  for (const owed of await vmsToDun(deps.db, deps.clock.now(), AT_ONCE))
    if (await begin(deps, owed)) count.begun++;
  for (const { id, vmId } of await dunningsDue(deps.db, deps.clock.now(), AT_ONCE)) {
    try {
      const taken = await takeStep(deps, { id, vmId });
      if (taken !== "waited") count[taken]++;
    } catch (error) {
      count.failed++;
      deps.log.error("dun.failed", { dunning_id: id, vm_id: vmId, error });
      await putOffDunning(deps.db, id, new Date(+deps.clock.now() + RETRY_MS));
    }
  }
  return count;
}
const RETRY_MS = 5 * 60_000;

/**
 * Of a subscription that somebody ended, and whose end nobody had planned, only the end is told: what is on the VM is kept as long as
 * after an end of ours.
 */
async function begin(deps: Deps, owed: ToDun): Promise<boolean> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    const vm = await lockVm(tx, owed.vmId);
    if (vm?.presence !== "present") return false;
    const service = await lockService(tx, owed.vmId);
    const isStill = service.subscriptionId === owed.subscriptionId && runsUntil(service) <= at.now;
    if (!isStill) return false;
    const policy = await policyFor(tx, owed.accountId);
    const state = owed.hasEnded ? "terminated" : "begun";
    const { vmId, subscriptionId } = owed;
    const id = at.newId();
    const endingAt = owed.hasEnded ? service.entitledUntil : null;
    const begun = {
      id,
      vmId,
      subscriptionId,
      policyVersion: policy.version,
      state,
      endingAt,
    } as const;
    if (!(await insertDunning(tx, begun, at.now))) return false;
    await tell(tx, { id, vmId, accountId: vm.accountId, state }, at);
    await record(tx, { id, vmId, to: state, policy: policy.version }, at);
    return true;
  });
}

type Taken = "moved" | "closed" | "waited";

/** Takes one step, and those that follow at once. */
async function takeStep(deps: Deps, of: { id: string; vmId: string }): Promise<Taken> {
  const decided = await decideAndTell(deps, of);
  if (decided === "delete") return remove(deps, of);
  if (decided !== "end_subscription") return decided;
  return endSubscription(deps, of);
}

/** Findings are logged once they are written down. */
async function decideAndTell(deps: Deps, of: { id: string; vmId: string }) {
  const noted: Noted = { opened: [], ended: [] };
  const decided = await inTransaction(deps.db, (tx) => decide(tx, of, stamp(deps), noted));
  logFindings(deps, noted);
  return decided;
}
type Noted = { opened: Finding[]; ended: Finding[] };

/** What is next, and does what needs nobody but us. */
async function decide(
  tx: Tx,
  of: { id: string; vmId: string },
  at: At,
  noted: Noted,
): Promise<Taken | "delete" | "end_subscription"> {
  const held = await hold(tx, of);
  if (held === undefined) return "waited";
  const { vm, service, dunning } = held;
  const step = nextDunningStep(dunning, dunning.policy, await see(tx, held, at.now), at.now);
  switch (step.do) {
    case "wait":
      await putOffDunning(tx, dunning.id, step.until);
      return "waited";
    case "close":
      noted.ended.push(...(await close(tx, dunning, step.outcome, at)));
      return "closed";
    case "move":
      noted.opened.push(...(await move(tx, { vm, service, dunning, to: step.to }, at)));
      return step.to === "ending" ? "end_subscription" : "moved";
    case "delete":
    case "end_subscription":
      return step.do;
  }
}

type Held = Readonly<{ vm: VmRow; service: Service; dunning: OpenDunning }>;

async function hold(tx: Tx, { id, vmId }: { id: string; vmId: string }): Promise<Held | undefined> {
  const vm = await lockVm(tx, vmId);
  if (!vm) return undefined;
  const service = await lockService(tx, vmId);
  const dunning = await lockDunning(tx, id);
  return dunning && { vm, service, dunning };
}

async function see(tx: Tx, { vm, service, dunning }: Held, now: Date): Promise<DunningSeen> {
  const reminder = await findMail(tx, { kind: "payment_overdue", cause: dunning.id });
  const pageIsOpen = dunning.checkoutExpiresAt !== null && dunning.checkoutExpiresAt > now;
  return {
    runsUntil: runsUntil(service),
    stopsAt: hostStopsAt(service),
    vmIsToGo: vm.presence === "absent",
    hasEnded: hasEnded(service.subscriptionStatus),
    isReminded: reminder !== undefined && reminder.state !== "waiting",
    isKept: keepsData(service.suspensions) || pageIsOpen,
  };
}

async function move(
  tx: Tx,
  { vm, service, dunning, to }: Held & { to: DunningState },
  at: At,
): Promise<readonly Finding[]> {
  const { id, vmId, policy } = dunning;
  await moveDunning(
    tx,
    id,
    { state: to, stateAt: at.now, ...(to === "ending" && { endingAt: at.now }) },
    // Whoever ended the subscription before we did: what is paid of it later goes back too.
    to === "terminated" ? service.entitledUntil : null,
  );
  // Its own, which are the policy's but for what was only tried.
  if (to === "reminded") await warn(tx, { vm, service, days: service.suspendDays }, at);
  await tell(tx, { id, vmId, accountId: vm.accountId, state: to }, at);
  await record(tx, { id, vmId, to, policy: policy.version }, at);
  const wasPlanned = dunning.state === "ending" || service.endWanted;
  return to === "terminated" && !wasPlanned ? noteEndedElsewhere(tx, vm, at) : [];
}

/** The account's settings at the provider say that it ends what is not paid, or somebody did it by hand: both are to be our policy's. */
async function noteEndedElsewhere(tx: Tx, vm: VmRow, at: At): Promise<readonly Finding[]> {
  const detail = "its subscription was ended at the provider while it was dunned for";
  const found = { kind: ENDED, subject: vm.id, vmId: vm.id, hostId: vm.hostId, detail };
  return openFindings(tx, [found], at, ACTOR);
}
const ENDED = "ended_by_provider" satisfies FindingKind;

/** The days until the VM stops are counted from a reminder that came late. */
async function warn(
  tx: Tx,
  { vm, service, days }: { vm: VmRow; service: Service; days: number },
  at: At,
): Promise<void> {
  const until = new Date(+at.now + days * DAY_MS);
  if (until <= hostStopsAt(service)) return;
  await saveWarned(tx, vm.id, until, at.now);
  await recordChange(
    tx,
    {
      actor: ACTOR,
      action: "entitlement.warned",
      subject: { kind: "vm", id: vm.id },
      detail: { until: until.toISOString() },
      events: [
        { name: "entitlement.changed.v1", data: { vmId: vm.id } },
        { name: "vm.change_requested.v1", data: { vmId: vm.id, hostId: vm.hostId } },
      ],
    },
    at,
  );
  await bumpDesiredGeneration(tx, vm.hostId);
}
const DAY_MS = 24 * 60 * 60_000;

async function close(
  tx: Tx,
  { id, vmId, policy }: OpenDunning,
  outcome: DunningOutcome,
  at: At,
): Promise<readonly Finding[]> {
  await closeDunning(tx, id, outcome, at.now);
  await record(tx, { id, vmId, to: outcome, policy: policy.version }, at);
  return endThese(tx, await overBoughtFindings(tx, [{ vmId, kind: ENDED }]), at, ACTOR);
}

const tell = async (
  tx: Tx,
  of: { id: string; vmId: string; accountId: string; state: DunningState },
  at: At,
): Promise<void> => {
  const kind = MAILS[of.state];
  if (kind === undefined) return;
  const mail = { id: at.newId(), kind, cause: of.id, about: of.id, accountId: of.accountId };
  await insertDueMails(tx, [mail], at.now);
};

const record = (
  tx: Tx,
  of: { id: string; vmId: string; to: DunningState | DunningOutcome; policy: number },
  at: At,
): Promise<void> =>
  recordChange(
    tx,
    {
      actor: ACTOR,
      action: `dunning.${of.to}`,
      subject: { kind: "vm", id: of.vmId },
      detail: { dunning_id: of.id, policy: of.policy },
      events: [{ name: "dunning.changed.v1", data: { dunningId: of.id, vmId: of.vmId } }],
    },
    at,
  );

/**
 * Ends the subscription at the provider. It is looked at first, after it was written down that it ends: what was paid before that is seen
 * now, and lifts the dunning; what is paid from then on goes back (`endingOf`).
 */
async function endSubscription(deps: Deps, of: { id: string; vmId: string }): Promise<Taken> {
  const found = await findDunning(deps.db, of.id);
  if (found?.state !== "ending") return "waited";
  const { status, paidUntil } = await deps.payments.fetchSubscription(found.subscriptionId);
  if (status !== "canceled" && paidUntil > deps.clock.now()) {
    const at = stamp(deps);
    const ended = await inTransaction(deps.db, async (tx) => {
      const held = await hold(tx, of);
      return held?.dunning.state === "ending" ? close(tx, held.dunning, "lifted", at) : [];
    });
    logFindings(deps, { opened: [], ended });
    return "closed";
  }
  await cancelSubscription(deps, found.subscriptionId);
  const next = await decideAndTell(deps, of);
  return next === "moved" || next === "closed" ? next : "waited";
}

/** What was kept long enough goes, as by its owner's own delete: but for one that was bought anew, and nobody has heard of that. */
async function remove(deps: Deps, of: { id: string; vmId: string }): Promise<Taken> {
  if (await revivedUnheard(deps, of.id)) return "closed";
  const who = { job: ACTOR.id };
  const asked = await requestAction(deps, { who, vmId: of.vmId, type: "delete", unpaid: true });
  if (!asked.ok) {
    deps.log.info("dun.delete_refused", { vm_id: of.vmId, code: asked.error.code });
    await putOffDunning(deps.db, of.id, new Date(+deps.clock.now() + DAY_MS));
    return "waited";
  }
  const at = stamp(deps);
  const ended = await inTransaction(deps.db, async (tx) => {
    const dunning = await lockDunning(tx, of.id);
    return dunning ? close(tx, dunning, "deleted", at) : [];
  });
  logFindings(deps, { opened: [], ended });
  return "closed";
}
