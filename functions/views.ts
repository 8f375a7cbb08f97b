import type { z } from "@hono/zod-openapi";
import { HostFacts } from "#core/contracts/agent/report.ts";
import type { ActionView, VmView as VmViewSchema } from "#core/contracts/api/vms.ts";
import type { FindingView } from "#core/contracts/api/findings.ts";
import type { HostView } from "#core/contracts/api/hosts.ts";
import type { InvoiceView } from "#core/contracts/api/billing.ts";
import type { OrderView } from "#core/contracts/api/orders.ts";
import { dueMoney } from "#core/orders/order-price.ts";
import type { TokenView as TokenViewSchema } from "#core/contracts/api/accounts.ts";
import type { RestoreView } from "#core/contracts/api/restores.ts";
import type { UsageView } from "#core/contracts/api/usage.ts";
import type { AccountPrincipal, TokenView } from "#core/accounts/accounts.ts";
import { aheadOf } from "#core/billing/dunning.ts";
import { hostStopsAt, isOverdue, runsUntil } from "#core/billing/entitlement.ts";
import { SUSPENSION_WORDS, type SuspensionReason } from "#core/billing/suspension.ts";
import { agentAge } from "#core/fleet/agent-age.ts";
import { toWireId } from "#core/ids.ts";
import { toMoneyView } from "#core/money.ts";
import type { Order } from "#core/orders/order.ts";
import { ACTION_ERROR_WORDS, type Action } from "#core/vms/action.ts";
import { progressOfChange, stepsOfChange } from "#core/billing/change-steps.ts";
import type { PlanChange } from "#core/billing/plan-change.ts";
import type { Move } from "#core/moves/move.ts";
import { progressOfMove, stepsOfMove } from "#core/moves/move-steps.ts";
import { progressOf, stepsOf, type ActionStep, type SeenOfVm } from "#core/vms/action-steps.ts";
import { shownError } from "#core/vms/last-error.ts";
import { guestState, vmStatus } from "#core/vms/status.ts";
import type { AgentRelease } from "#commands/fleet/register-release.ts";
import type { Finding } from "#commands/hosts/show-findings.ts";
import type { Host } from "#commands/hosts/show-hosts.ts";
import type { RestoreState } from "#commands/hosts/record-restore.ts";
import type { Invoice } from "#commands/billing/show-invoices.ts";
import type { VmView } from "#commands/vms/show-vm.ts";
import type { Usage } from "#commands/usage/show-usage.ts";

/* What rows look like on the wire. One function a view; conversions are named by their direction. */

const iso = (at: Date | null): string | null => at?.toISOString() ?? null;

const HAS_VM: ReadonlySet<Order["state"]> = new Set(["paid", "active", "completed"]);

export const toOrderView = (o: Order): OrderView => ({
  id: toWireId("order", o.id),
  state: o.state,
  vmId: HAS_VM.has(o.state) ? toWireId("vm", o.vmId) : null,
  planId: toWireId("plan", o.planId),
  planVersion: o.planVersion,
  imageId: toWireId("image", o.imageId),
  locationId: toWireId("location", o.locationId),
  hostname: o.hostname,
  billingInterval: o.billingInterval,
  total: toMoneyView({ minor: o.listMinor, currency: o.currency }),
  discount: toMoneyView({ minor: o.discountMinor, currency: o.currency }),
  tax: toMoneyView({ minor: o.taxMinor, currency: o.currency }),
  due: toMoneyView(dueMoney(o)),
  trial: o.trialPolicy !== null,
  declined: o.declineCode,
  createdAt: o.createdAt.toISOString(),
  expiresAt: o.expiresAt.toISOString(),
  paidAt: iso(o.paidAt),
});

const suspendedFor = ({ bought }: VmView, now: Date): SuspensionReason[] => [
  ...(isOverdue(bought, now) ? (["overdue"] as const) : []),
  ...bought.suspensions,
];

function toOverdueView(overdue: NonNullable<VmView["overdue"]>, stopsAt: Date) {
  const ahead = aheadOf(overdue, overdue.policy, stopsAt);
  return {
    state: overdue.state,
    since: overdue.startedAt.toISOString(),
    suspendsAt: iso(ahead.suspendsAt),
    endsAt: iso(ahead.endsAt),
    deletesAt: iso(ahead.deletesAt),
    payUrl: overdue.payUrl,
  };
}

/** `who` reads it: staff get a host's own words, everybody else what they mean. */
export const toVmView = (
  v: VmView,
  now: Date,
  who: Pick<AccountPrincipal, "role">,
): VmViewSchema => ({
  id: toWireId("vm", v.vm.id),
  orderId: v.orderId === null ? null : toWireId("order", v.orderId),
  hostname: v.vm.hostname,
  label: v.vm.label,
  status: vmStatus({
    presence: v.vm.presence,
    desiredPower: v.vm.desiredPower,
    observedPower: v.vm.observedPower,
    hostLastSeenAt: v.hostLastSeenAt,
    runningAction: v.runningAction?.type ?? null,
    suspended: suspendedFor(v, now).length > 0,
    lostAt: v.vm.lostAt,
    now,
  }),
  lostSince: iso(v.vm.lostAt),
  lastError: shownError(v.vm, who),
  power: { desired: v.vm.desiredPower, observed: v.vm.observedPower },
  guest: guestState(v.vm),
  suspended: suspendedFor(v, now),
  suspendedBecause: suspendedFor(v, now).map((reason) => SUSPENSION_WORDS[reason]),
  lockedBy: v.runningAction ? toWireId("action", v.runningAction.id) : null,
  planId: toWireId("plan", v.bought.planId),
  planVersion: v.bought.planVersion,
  price: v.bought.price && {
    interval: v.bought.price.interval,
    amount: toMoneyView(v.bought.price.amount),
  },
  imageId: toWireId("image", v.vm.imageId),
  locationId: toWireId("location", v.vm.locationId),
  size: { vcpus: v.vm.vcpus, memoryMib: v.vm.memoryMib, diskGib: v.vm.diskGib },
  addresses: [...v.addresses],
  entitledUntil: runsUntil(v.bought).toISOString(),
  cancelled: v.bought.endWanted,
  cancelAt: v.bought.endWanted ? iso(v.bought.cancelAt) : null,
  overdue: v.overdue && toOverdueView(v.overdue, hostStopsAt(v.bought)),
  deleteProtected: v.vm.deleteProtected,
  createdAt: v.vm.createdAt.toISOString(),
});

type CarriedBy = Readonly<{ change?: PlanChange | null; move?: Move | null }>;

export const toStepViews = (steps: readonly ActionStep[]): ActionView["steps"] =>
  steps.map((step) => ({
    ...step,
    startedAt: iso(step.startedAt),
    finishedAt: iso(step.finishedAt),
  }));

/**
 * `seen` is what its host has shown of the VM; null for an action that has just been requested. `by` is what carries out a resize or a
 * migration: of its steps nothing names a host. Staff read what the host said, everybody else what its code means.
 */
export const toActionView = (
  a: Action,
  who: Pick<AccountPrincipal, "role">,
  seen: SeenOfVm | null = null,
  { change = null, move = null }: CarriedBy = {},
): ActionView => ({
  id: toWireId("action", a.id),
  vmId: toWireId("vm", a.vmId),
  type: a.type,
  status: a.status,
  progress: change ? progressOfChange(change) : move ? progressOfMove(move) : progressOf(a, seen),
  steps: toStepViews(
    change
      ? stepsOfChange(change)
      : move
        ? stepsOfMove(move, a.status === "error" ? a.finishedAt : null)
        : stepsOf(a, seen),
  ),
  payUrl: change?.payUrl ?? null,
  startedAt: a.startedAt.toISOString(),
  finishedAt: iso(a.finishedAt),
  error:
    a.error && who.role !== "staff"
      ? { code: a.error.code, message: ACTION_ERROR_WORDS[a.error.code] }
      : a.error,
});

export const toUsageView = (u: Usage): UsageView => {
  const sum = (pick: (b: Usage["buckets"][number]) => bigint) =>
    u.buckets.reduce((n, b) => n + pick(b), 0n).toString();
  return {
    from: u.from.toISOString(),
    to: u.to.toISOString(),
    totals: {
      cpuNs: sum((b) => b.cpuNs),
      rxBytes: sum((b) => b.rxBytes),
      txBytes: sum((b) => b.txBytes),
      readBytes: sum((b) => b.readBytes),
      writeBytes: sum((b) => b.writeBytes),
    },
    buckets: u.buckets.map((b) => ({
      from: b.from.toISOString(),
      cpuNs: b.cpuNs.toString(),
      rxBytes: b.rxBytes.toString(),
      txBytes: b.txBytes.toString(),
      readBytes: b.readBytes.toString(),
      writeBytes: b.writeBytes.toString(),
    })),
    measuredUntil: iso(u.measuredUntil),
    unmeasured: u.unmeasured.map(({ from, to }) => ({
      from: from.toISOString(),
      to: to.toISOString(),
    })),
  };
};

export const toInvoiceView = (i: Invoice): InvoiceView => ({
  id: toWireId("invoice", i.id),
  orderId: i.orderId === null ? null : toWireId("order", i.orderId),
  number: i.number,
  status: i.status,
  total: toMoneyView(i.total),
  paid: toMoneyView(i.paid),
  givenBack: toMoneyView(i.givenBack),
  hostedUrl: i.hostedUrl,
  createdAt: i.createdAt.toISOString(),
  paidAt: iso(i.paidAt),
  crossed: i.crossed,
});

export const toTokenView = (t: TokenView): z.infer<typeof TokenViewSchema> => ({
  id: t.id,
  name: t.name,
  start: t.start,
  scopes: [...t.scopes],
  createdAt: t.createdAt.toISOString(),
  expiresAt: iso(t.expiresAt),
  lastUsedAt: iso(t.lastUsedAt),
});

const Versions = HostFacts.pick({ hypervisorVersion: true, osVersion: true });

/** `releases` are all that staff have registered: what its agent's age is measured by, and one of which it may be told. */
export const toHostView = (h: Host, releases: readonly AgentRelease[]): HostView => {
  const versions = Versions.safeParse(h.facts).data;
  return {
    id: toWireId("host", h.id),
    name: h.name,
    locationId: toWireId("location", h.locationId),
    state: h.state,
    hypervisor: h.hypervisor,
    accelerator: h.accelerator,
    testOnly: h.testOnly,
    group: h.group,
    agentVersion: h.agentVersion,
    wantedAgentVersion: releases.find(({ id }) => id === h.wantedReleaseId)?.version ?? null,
    agentAge: agentAge(
      h.agentVersion,
      releases.map(({ version }) => version),
    ),
    understands: h.understands && [...h.understands],
    hypervisorVersion: versions?.hypervisorVersion ?? null,
    osVersion: versions?.osVersion ?? null,
    ceiling: { ...h.ceiling },
    cpuOvercommit: h.cpuOvercommit,
    capacity: { ...h.capacity },
    allocated: { ...h.allocated },
    desiredGeneration: h.desiredGeneration,
    clockOffsetSeconds: h.clockOffsetSeconds,
    lastSeenAt: iso(h.lastSeenAt),
    createdAt: h.createdAt.toISOString(),
  };
};

export const toRestoreView = (restoredTo: Date, state: RestoreState): RestoreView => ({
  restoredTo: restoredTo.toISOString(),
  recordedAt: iso(state.restore?.recordedAt ?? null),
  destroysHeldUntil: iso(state.destroysHeldUntil),
  eventsReadAt: iso(state.restore?.eventsReadAt ?? null),
  unheardHosts: state.unheardHosts.map(({ id, name, lastSeenAt }) => ({
    id: toWireId("host", id),
    name,
    lastSeenAt: iso(lastSeenAt),
  })),
  unknownVms: state.unknownVms.map((vm) => ({
    id: toWireId("vm", vm.vmId),
    hostId: toWireId("host", vm.hostId),
    hostname: vm.hostname,
    imageId: toWireId("image", vm.imageId),
    size: { vcpus: vm.vcpus, memoryMib: vm.memoryMib, diskGib: vm.diskGib },
    address: vm.address,
    toldAt: vm.toldAt.toISOString(),
  })),
  unknownCheckouts: state.unknownCheckouts.map((checkout) => ({ ...checkout })),
});

export const toFindingView = (f: Finding): FindingView => ({
  id: toWireId("finding", f.id),
  kind: f.kind,
  hostId: toWireId("host", f.hostId),
  vmId: f.vmId === null ? null : toWireId("vm", f.vmId),
  subject: f.subject,
  detail: f.detail,
  firstSeenAt: f.firstSeenAt.toISOString(),
  lastSeenAt: f.lastSeenAt.toISOString(),
  endedAt: iso(f.endedAt),
});
