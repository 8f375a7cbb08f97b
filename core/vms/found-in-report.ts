import type { HostFacts, ReceivedReport, ReceivedVmReport } from "#core/contracts/agent/report.ts";
import { isClockOff, toldOffset } from "#core/hosts/clock-offset.ts";
import {
  AGENTS_OWN_KINDS,
  ENDS_AFTER_SILENCE_MS,
  type FindingKey,
  type FindingKind,
  type Found,
} from "#core/hosts/finding.ts";
import type { Restored } from "#core/hosts/restored.ts";
import { keepsFailing, nextError, type ErrorSeen } from "./last-error.ts";
import { isLost, type KnownOfVm } from "./judge-report.ts";

/* What a report says of what is amiss. Untrusted: a host speaks of itself, and of what is bound to it. */

export type FoundInReport = Readonly<{ told: readonly Found[]; over: readonly FindingKey[] }>;

/** A look of its host that began before the delete may still hold it. */
const RETURNED_AFTER_MS = 60_000;

type Shown = Pick<KnownOfVm, "presence" | "firstSeenAt"> &
  ErrorSeen &
  Readonly<{ deletedAt: Date | null }>;
type Parts = Readonly<{
  /** Those of the host's VMs whose report counts. */
  vms: readonly ReceivedVmReport[];
  strangers: readonly NonNullable<ReceivedReport["strangers"][number]>[];
  findings: readonly { vmId: string; code: string; detail: string }[];
}>;

const aboutVm = (kind: string, vmId: string, detail: string): Found => ({
  kind,
  subject: vmId,
  vmId,
  detail,
});
const key = (kind: FindingKind, subject: string): FindingKey => ({ kind, subject });

/**
 * Of VMs. `known` are those that are bound to the host, gone ones too. `restored`: the database was, so that a VM which nobody
 * knows may be one that was made in the hours that are lost. A day later it is one only if its agent says what it was: that no
 * agent knows of another's VM, and of ours rows are never removed. What was found to be one stays one: of a VM that was to be
 * gone its agent does not keep what it was. `open`: what is told of the host already.
 */
export function foundOfVms(
  { vms, strangers, findings }: Parts,
  known: ReadonlyMap<string, Shown>,
  {
    now,
    restored = "never",
    open = [],
  }: { now: Date; restored?: Restored; open?: readonly FindingKey[] },
): FoundInReport {
  const told: Found[] = [];
  const over: FindingKey[] = [];
  const foundSo = new Set(
    open.flatMap(({ kind, subject }) => (kind === "vm_unknown_after_restore" ? [subject] : [])),
  );
  const isLostByUs = (vmId: string, wasOurs: boolean) =>
    !known.has(vmId) &&
    (restored === "lately" || (restored === "once" && (wasOurs || foundSo.has(vmId))));
  const shown = (vmId: string, epoch: number, power: string, wasOurs = false) => {
    const goneAt = known.get(vmId)?.deletedAt ?? null;
    if (goneAt === null)
      return aboutVm(
        isLostByUs(vmId, wasOurs) ? "vm_unknown_after_restore" : "stranger",
        vmId,
        `tagged with epoch ${epoch}, ${power}`,
      );
    return +now - +goneAt >= RETURNED_AFTER_MS
      ? aboutVm("vm_seen_after_delete", vmId, `it is there again, ${power}`)
      : undefined;
  };
  for (const { vmId, ownerEpoch, power, was } of strangers) {
    const found = shown(vmId, ownerEpoch, power ?? "its power not known", was !== undefined);
    if (found) told.push(found);
  }
  for (const seen of vms) {
    const { vmId, observed } = seen;
    const vm = known.get(vmId);
    if (vm === undefined) continue;
    if (vm.deletedAt !== null) {
      const found = observed && shown(vmId, observed.ownerEpoch, observed.power);
      if (found) told.push(found);
    } else if (isLost(vm, seen)) told.push(aboutVm("vm_lost", vmId, seen.error?.detail ?? ""));
    const isBack = observed?.complete === true;
    const isToBeGone = observed === null && vm.presence === "absent";
    const failing = whyFailing(vm, seen, now);
    if (failing === null) over.push(key("step_failing", vmId));
    else told.push(aboutVm("step_failing", vmId, failing));
    if (isBack || isToBeGone)
      over.push(
        key("vm_lost", vmId),
        key("disk_layer_missing", vmId),
        key("vm_unknown_after_restore", vmId),
      );
  }
  for (const { vmId, code, detail } of findings)
    if (known.has(vmId)) told.push(aboutVm(agentsKind(code), vmId, detail));
  return { told, over };
}

/** Of what is told by a finding of its own (the VM is lost, the hypervisor is away) it is not said once more. */
function whyFailing(vm: Shown, seen: ReceivedVmReport, now: Date): string | null {
  const error = nextError(vm, seen.error, now);
  const { lastErrorCode: code, lastErrorDetail, lastErrorSince, lastErrorTimes: times } = error;
  const isTold = code === "hypervisor_unavailable" || isLost(vm, seen) || vm.deletedAt !== null;
  return isTold || !keepsFailing(error, now)
    ? null
    : `${code} in ${times} reports since ${lastErrorSince?.toISOString()}: ${lastErrorDetail}`;
}

/** An agent's word is never taken for one of what we find out by ourselves. */
const agentsKind = (code: string): string =>
  code in ENDS_AFTER_SILENCE_MS && !AGENTS_OWN_KINDS.has(code) ? `agents_${code}` : code;

/**
 * Of the host itself: its clock, its hypervisor, its images, and the document that it was given. `isAtWork`: no announced
 * maintenance of it goes on, in which its hypervisor may be away.
 */
export function foundOfHost(
  host: { id: string; testOnly: boolean; isAtWork: boolean },
  report: Pick<
    ReceivedReport,
    "clockOffsetSeconds" | "facts" | "refusedDesired" | "hypervisorAway"
  > &
    Readonly<{ findings: readonly { code: string; detail: string }[] }>,
  open: readonly FindingKey[],
): FoundInReport {
  const told: Found[] = [];
  // It speaks.
  const over: FindingKey[] = [key("host_silent", host.id)];
  const aboutHost = (kind: FindingKind, detail: string, subject = host.id) =>
    told.push({ kind, subject, vmId: null, detail });
  const { clockOffsetSeconds, facts, refusedDesired, hypervisorAway, findings } = report;
  for (const { code, detail } of findings)
    told.push({ kind: agentsKind(code), subject: host.id, vmId: null, detail });
  if (clockOffsetSeconds !== undefined)
    if (isClockOff(clockOffsetSeconds))
      aboutHost("clock_off", `its clock is ${toldOffset(clockOffsetSeconds)} ours`);
    else over.push(key("clock_off", host.id));
  if (hypervisorAway) {
    if (host.isAtWork)
      aboutHost("hypervisor_away", `${hypervisorAway.code}: ${hypervisorAway.detail}`);
  } else over.push(key("hypervisor_away", host.id));
  if (refusedDesired)
    aboutHost(
      "desired_refused",
      `generation ${refusedDesired.generation}: ${refusedDesired.reason}`,
    );
  if (facts) {
    const why = whyEmulationDisagrees(facts, host.testOnly);
    if (why === null) over.push(key("emulation_disagrees", host.id));
    else aboutHost("emulation_disagrees", why);
  }
  if (facts?.images) {
    over.push(...open.filter(({ kind }) => kind === "image_changed"));
    for (const { file, changed } of facts.images)
      if (changed)
        aboutHost("image_changed", "another file under its name than VMs were made from", file);
  }
  return { told, over };
}

/** A host that emulates needs both: staff's mark, and the leave of its own settings, if its agent says which it has. */
function whyEmulationDisagrees(
  { accelerator, capabilities: { emulation } }: HostFacts,
  testOnly: boolean,
): string | null {
  if (accelerator !== "tcg" || testOnly === (emulation ?? true)) return null;
  return testOnly
    ? "staff marked it for tests, but its own settings do not let it emulate (`emulationAllowed`): it gets no VMs"
    : "it would emulate its guests, but staff did not mark it for tests: it gets no VMs";
}
