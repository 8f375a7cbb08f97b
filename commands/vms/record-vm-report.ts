import type {
  HostFacts,
  ReceivedReport,
  ReceivedVmReport,
  ReportReceipt,
  ReportSerial,
} from "#core/contracts/agent/report.ts";
import { ourWords, type Announced } from "#core/contracts/agent/protocol.ts";
import type { Event } from "#core/contracts/events.ts";
import { howRestored } from "#core/hosts/restored.ts";
import { trustedCapacity } from "#core/hosts/capacity.ts";
import { jumpOf } from "#core/hosts/facts-jump.ts";
import { isNewer } from "#core/hosts/report-serial.ts";
import { isRefusedForGood, moveOrder } from "#core/orders/decide-order.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { EFFECT_OF_ACTION, type Action } from "#core/vms/action.ts";
import { actionIsDone, whyActionFailed } from "#core/vms/decide-action.ts";
import { foundOfHost, foundOfVms } from "#core/vms/found-in-report.ts";
import { isLost, judgeReport, whatChanged } from "#core/vms/judge-report.ts";
import { INITIAL_PASSWORD_LIFE_MS } from "#core/vms/initial-password.ts";
import { ringChangeOf } from "#db/billing/plan-changes.ts";
import { endLoss, openLoss } from "#db/billing/losses.ts";
import { lockOpenMove } from "#db/moves/moves.ts";
import { finishAction, runningActionsOf } from "#db/vms/actions.ts";
import type { Tx } from "#db/client.ts";
import { loadHostWithFindings } from "#db/hosts/findings.ts";
import { saveHeldImages } from "#db/hosts/held-images.ts";
import {
  bumpDesiredGeneration,
  factsOf,
  saveFacts,
  touchHost,
  type Host,
} from "#db/hosts/hosts.ts";
import { offerInitialPassword } from "#db/vms/initial-passwords.ts";
import { lockOrderOfVm, orderIdOfVm, saveOrder } from "#db/orders/orders.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { together } from "#db/together.ts";
import { lockVmsOf, saveObservations, type Observation, type VmRow } from "#db/vms/vms.ts";
import { stamp, type AgentDeps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";
import { logFindings, noteFindings } from "#commands/hosts/note-findings.ts";
import { keepUnknownVms } from "./keep-unknown-vms.ts";
import { finishVm } from "./finish-vm.ts";
import { withdrawUnoffered } from "./withdraw-initial-password.ts";

/**
 * Records what an agent saw. Untrusted: only VMs bound to this host in the present epoch count, and only if the
 * report is not older than what is known. What a report leaves out is not touched: absence is not evidence. What could
 * not be read in it (null) costs no other. A report that is not newer than one that has counted is refused whole: what is
 * sent again, or comes late, would tell of yesterday. `announced` left out: what its agent understands stays as it was known.
 */
export async function recordVmReport(
  deps: AgentDeps,
  hostId: string,
  report: ReceivedReport,
  announced?: Announced,
): Promise<Recorded> {
  const at = stamp(deps);
  const { serial = null, clockOffsetSeconds = null } = report;
  const seenVms = report.vms.filter((vm) => vm !== null);
  const doneActions = report.actions.filter((action) => action !== null);
  const strangers = report.strangers.filter((stranger) => stranger !== null);
  const findings = (report.findings ?? []).filter((finding) => finding !== null);
  const ofItself = findings.filter(({ vmId = hostId }) => vmId === hostId);
  const ofItsVms = findings.flatMap(({ vmId = hostId, ...finding }) =>
    vmId === hostId ? [] : [{ vmId, ...finding }],
  );
  const unread = {
    vms: report.vms.length - seenVms.length,
    actions: report.actions.length - doneActions.length,
    strangers: report.strangers.length - strangers.length,
    findings: (report.findings ?? []).length - findings.length,
  };
  const actor: Actor = { kind: "agent", id: hostId };
  const named = [...seenVms, ...doneActions, ...strangers, ...ofItsVms];
  const ids = [...new Set(named.map((r) => r.vmId))];
  const recorded = await undoOnRefusal(deps.db, async (tx) => {
    // What is read beside it is read once they are held: statements of one transaction go one after another.
    const [bound, known, actions] = await together([
      lockVmsOf(tx, hostId, ids),
      loadHostWithFindings(tx, hostId),
      runningActionsOf(tx, ids),
    ]);
    const rows = new Map(bound);
    const { host, open = [] } = known ?? {};
    const running = new Map([...actions].filter(([vmId]) => bound.has(vmId)));
    const words = announced && ourWords(announced);
    const understands = words?.join() === host?.understands?.join() ? undefined : words;
    const last = host?.lastReport ?? null;
    if (serial && !isNewer(serial, last)) return stale(serial, last);
    const heard = { lastWordAt: host?.lastSeenAt ?? null, testOnly: host?.testOnly ?? false };
    const counted: { vm: VmRow; seen: ReceivedVmReport }[] = [];
    let ignored = unread.vms;
    for (const seen of seenVms) {
      const vm = rows.get(seen.vmId);
      rows.delete(seen.vmId); // a second report of the VM would be judged by what the first one has changed
      // Of a document that a restored database knows nothing of: its generations stand for something else than ours.
      const isOfAnotherTime = (host?.restoredGeneration ?? null) !== null;
      if (!vm || isOfAnotherTime || judgeReport(vm, seen) !== "current") {
        ignored++;
        continue;
      }
      counted.push({ vm, seen });
    }
    const applied = await together(
      counted.map(({ vm, seen }) =>
        applyReport(tx, vm, seen, running.get(vm.id), { ...at, ...heard }, actor),
      ),
    );
    let documentChanged = applied.some((of) => of.documentChanged);
    const observed = applied.flatMap(({ changed }, n): Observation[] => {
      const vmId = counted[n]?.vm.id;
      return changed && vmId !== undefined ? [{ vmId, ...changed }] : [];
    });
    for (const done of doneActions) {
      const action = running.get(done.vmId);
      if (action?.id !== done.actionId) continue;
      const error =
        done.outcome === "success"
          ? null
          : {
              code: "host_refused" as const,
              message: done.error?.detail ?? "the host could not do it",
            };
      documentChanged = (await endAction(tx, action, error, at, actor)) || documentChanged;
    }
    const [held] = await together([
      touchHost(tx, hostId, {
        serial,
        clockOffsetSeconds,
        understands,
        isSeen: report.hypervisorAway === undefined,
        now: at.now,
      }),
      saveObservations(tx, observed),
    ]);
    if (!held) return stale(serial, null);
    const jump = report.facts ? await remeasure(tx, held, report.facts, at) : null;
    const restored = howRestored(held, at.now);
    if (restored !== "never") await keepUnknownVms(tx, held, strangers, at);
    const told = { vms: counted.map(({ seen }) => seen), strangers, findings: ofItsVms };
    const ofVms = foundOfVms(told, bound, { now: at.now, restored, open });
    const until = held.maintenanceUntil;
    const isAtWork = until === null || until < at.now;
    const itself = { id: hostId, testOnly: heard.testOnly, isAtWork };
    const ofHost = foundOfHost(itself, { ...report, findings: ofItself }, open);
    const noted = await noteFindings(
      tx,
      hostId,
      { open, told: [...ofVms.told, ...ofHost.told], over: [...ofVms.over, ...ofHost.over] },
      at,
      actor,
    );
    if (documentChanged) await bumpDesiredGeneration(tx, hostId);
    const speaksOfMoves =
      (report.moves ?? []).length > 0 ||
      seenVms.some(({ vmId }) => !bound.has(vmId) || running.get(vmId)?.type === "migrate");
    return ok({ receipt: { accepted: counted.length, ignored }, speaksOfMoves, jump, noted });
  });
  if (!recorded.ok) {
    deps.log.error("agent_report.stale", { host_id: hostId, ...serial });
    return recorded;
  }
  const { jump, noted } = recorded.value;
  logFindings(deps, noted);
  if (jump) deps.log.error("host.facts_jumped", { host_id: hostId, ...jump });
  if (unread.vms + unread.actions + unread.strangers + unread.findings > 0)
    deps.log.error("agent_report.unread", { host_id: hostId, ...unread });
  return ok({ receipt: recorded.value.receipt, speaksOfMoves: recorded.value.speaksOfMoves });
}

/** `speaksOfMoves`: of VMs that are another host's, or on their way (`record-report.ts` in `commands/moves/`). */
type Recorded = Result<
  Readonly<{ receipt: ReportReceipt; speaksOfMoves: boolean }>,
  Refusal<"report_stale">
>;

function stale(serial: ReportSerial | null, last: ReportSerial | null) {
  const than = last ? `process ${last.process}, seq ${last.seq}` : "the newest";
  return refuse(
    "report_stale",
    `report process ${serial?.process}, seq ${serial?.seq} is not newer than ${than}: it was sent before, or the agent's ` +
      "state went back and its host must be enrolled again",
  );
}

/**
 * A host stays with the hypervisor that it enrolled with: another one's size and limits are not its own. The caller holds
 * the host, and has read it since.
 *
 * @returns what jumped of what it says of itself, if anything.
 */
async function remeasure(
  tx: Tx,
  host: Host,
  facts: HostFacts,
  at: { now: Date; newId: () => string },
): Promise<ReturnType<typeof jumpOf>> {
  const { id: hostId } = host;
  if (host.hypervisor !== facts.hypervisor) return null;
  const jump = jumpOf(factsOf(host), facts);
  await saveFacts(tx, hostId, facts, trustedCapacity(facts, host));
  if (jump)
    await recordChange(
      tx,
      {
        actor: { kind: "agent", id: hostId },
        action: "host.facts_jump",
        subject: { kind: "host", id: hostId },
        detail: jump,
        events: [],
      },
      at,
    );
  await saveHeldImages(tx, hostId, facts.images);
  return jump;
}

/**
 * Does all that follows of what was seen of a VM.
 *
 * @returns whether the host's desired document changed with it, and the observed columns that it changes: the caller saves
 * those of all VMs at once.
 */
async function applyReport(
  tx: Tx,
  vm: VmRow,
  seen: ReceivedVmReport,
  running: Action | undefined,
  at: { now: Date; newId: () => string; lastWordAt: Date | null; testOnly: boolean },
  actor: Actor,
): Promise<{ documentChanged: boolean; changed: ReturnType<typeof whatChanged> }> {
  // An agent that does not understand what the VM holds cannot say that all of it is gone.
  const understood = seen.error?.code !== "unsupported_by_agent";
  const isGone = seen.observed === null && vm.presence === "absent" && understood;
  if (isGone && seen.generation === vm.generation) {
    if (vm.deletedAt !== null) return { documentChanged: false, changed: undefined };
    // Its other host is told of the copy there until that is put away, with its address: an agent reads no VM without one. It is said again.
    if (await lockOpenMove(tx, vm.id)) return { documentChanged: false, changed: undefined };
    await finishVm(tx, vm, running, at, actor);
    return { documentChanged: true, changed: undefined };
  }
  const changed = whatChanged(vm, seen, at);
  if (changed) await noteLoss(tx, vm, changed.lostAt, at);
  // From now on its host may not make it again: the desired document has changed, and no password is needed there.
  const mayCreateNoMore = vm.firstSeenAt === null && (changed?.firstSeenAt ?? null) !== null;
  const offerPassword = () =>
    offerInitialPassword(tx, vm.id, new Date(+at.now + INITIAL_PASSWORD_LIFE_MS));
  const guestReady = (changed?.guestReadyAt ?? vm.guestReadyAt) !== null;
  const done =
    running !== undefined &&
    actionIsDone(running, {
      generation: seen.generation,
      settled: seen.settled,
      power: seen.observed?.power ?? "gone",
      complete: seen.observed?.complete === true,
      guestReady,
    });
  const failed =
    running && !done
      ? whyActionFailed(running, {
          generation: seen.generation,
          lost: isLost(vm, seen),
          code: seen.error?.code ?? null,
        })
      : null;
  const ended = done || failed !== null ? running : undefined;
  const error = failed && { code: failed, message: seen.error?.detail ?? "" };
  const [, activated, finished] = await together([
    mayCreateNoMore ? offerPassword() : nothing,
    guestReady && vm.guestReadyAt === null ? activateOrder(tx, vm) : nothing,
    ended ? finishAction(tx, ended.id, { error, now: at.now }) : nothing,
  ]);
  // What is seen of a VM while its size is to change is looked at by whoever follows that (`follow-plan-change.ts`).
  const events: Event[] =
    changed && running?.type === "resize" ? [...(await ringChangeOf(tx, vm.id, at.now))] : [];
  const wasRefused = isRefusedForGood(vm);
  if (vm.presence === "present" && !wasRefused && isRefusedForGood({ ...vm, ...changed })) {
    const orderId = await orderIdOfVm(tx, vm.id);
    if (orderId !== undefined)
      events.push({ name: "vm.create_refused.v1", data: { orderId, vmId: vm.id } });
  }
  events.push(...(activated ?? []));
  if (ended && finished)
    events.push({ name: "action.finished.v1", data: { actionId: ended.id, vmId: vm.id } });
  if (events.length > 0)
    await recordChange(
      tx,
      {
        actor,
        action: "vm.observe",
        subject: { kind: "vm", id: vm.id },
        detail: { power: seen.observed?.power ?? null, generation: seen.generation },
        events,
      },
      at,
    );
  const repairEnded = ended !== undefined && EFFECT_OF_ACTION[ended.type].kind === "repair";
  if (repairEnded && ended.type === "recreate") {
    if (done) await offerPassword();
    else await withdrawUnoffered(tx, vm.id, at.now);
  }
  return { documentChanged: mayCreateNoMore || repairEnded, changed };
}

const nothing = Promise.resolve(undefined);

/** For what cannot be used while it is not there, its customer is given back (`settle-losses.ts`). */
async function noteLoss(
  tx: Tx,
  vm: VmRow,
  lostAt: Date | null,
  at: { now: Date; newId: () => string; lastWordAt: Date | null },
): Promise<void> {
  if (vm.lostAt === null && lostAt !== null) {
    await openLoss(tx, { id: at.newId(), vmId: vm.id, since: at.lastWordAt ?? at.now });
  }
  // One that is deleted ends by that.
  if (vm.lostAt !== null && lostAt === null && vm.presence === "present")
    await endLoss(tx, vm.id, at.now);
}

/** The guest itself was seen: the order is delivered. */
async function activateOrder(tx: Tx, vm: VmRow): Promise<readonly Event[]> {
  const order = await lockOrderOfVm(tx, vm.id);
  if (order?.state !== "paid") return [];
  const moved = moveOrder(order, "activate", [
    { name: "order.activated.v1", data: { orderId: order.id, vmId: vm.id } },
  ]);
  if (!moved.ok) return [];
  await saveOrder(tx, moved.value.order);
  return moved.value.events;
}

/** @returns whether the host's desired document changed with it: the action is no longer pending. */
async function endAction(
  tx: Tx,
  action: Action,
  error: { code: "host_refused"; message: string } | null,
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<boolean> {
  if (!(await finishAction(tx, action.id, { error, now: at.now }))) return false;
  await recordChange(
    tx,
    {
      actor,
      action: `action.${error ? "fail" : "finish"}`,
      subject: { kind: "action", id: action.id },
      events: [{ name: "action.finished.v1", data: { actionId: action.id, vmId: action.vmId } }],
    },
    at,
  );
  return true;
}
