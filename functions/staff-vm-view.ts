import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { PlanChange } from "#core/billing/plan-change.ts";
import type { PlanChangeView, StaffVmView } from "#core/contracts/api/staff-vms.ts";
import { toWireId } from "#core/ids.ts";
import type { VmView } from "#commands/vms/show-vm.ts";
import type { StaffVm } from "#commands/vms/show-staff-vm.ts";
import { toMoveView } from "./move-views.ts";
import { toActionView, toFindingView, toVmView } from "./views.ts";

const iso = (at: Date | null): string | null => at?.toISOString() ?? null;

/** One of a list. */
export const toListedVm = (view: VmView, now: Date, who: Pick<AccountPrincipal, "role">) => ({
  ...toVmView(view, now, who),
  accountId: toWireId("account", view.vm.accountId),
  hostId: toWireId("host", view.vm.hostId),
  deletedAt: iso(view.vm.deletedAt),
});

const toPlanChangeView = (change: PlanChange): PlanChangeView => ({
  actionId: toWireId("action", change.actionId),
  quoteId: toWireId("quote", change.quoteId),
  from: { planId: toWireId("plan", change.from.planId), planVersion: change.from.planVersion },
  to: { planId: toWireId("plan", change.to.planId), planVersion: change.to.planVersion },
  when: change.when,
  billing: change.billing,
  order: change.order,
  method: change.method,
  money: change.money,
  machine: change.machine,
  turnedBack: change.turnedBack,
  outcome: change.outcome,
  invoiceId: change.invoiceId,
  payBy: iso(change.payBy),
  seeBy: iso(change.seeBy),
  appliesAt: change.appliesAt.toISOString(),
  createdAt: change.createdAt.toISOString(),
  endedAt: iso(change.endedAt),
});

export function toStaffVmView(
  { view, host, hostSilentSince, actions, changes, moves, findings }: StaffVm,
  now: Date,
  who: Pick<AccountPrincipal, "role">,
): StaffVmView {
  const { vm } = view;
  const { lastErrorCode: code, lastErrorDetail: detail, lastErrorTimes: times } = vm;
  // One of before this was kept is known since its host was last heard of it.
  const since = vm.lastErrorSince ?? vm.observedAt ?? vm.createdAt;
  return {
    ...toVmView(view, now, who),
    lastError:
      code === null ? null : { code, detail: detail ?? "", since: since.toISOString(), times },
    host: {
      id: toWireId("host", host.id),
      name: host.name,
      lastSeenAt: iso(host.lastSeenAt),
      silentSince: iso(hostSilentSince),
    },
    generation: { wanted: vm.generation, seen: vm.observedGeneration },
    ownerEpoch: vm.ownerEpoch,
    observedAt: iso(vm.observedAt),
    deletedAt: iso(vm.deletedAt),
    actions: actions.map(({ action, waitsFor }) => ({
      ...toActionView(action, who, vm, {
        change: changes.find((change) => change.actionId === action.id) ?? null,
        move: moves.find(({ move }) => move.actionId === action.id)?.move ?? null,
      }),
      waitsFor: waitsFor && { ...waitsFor },
    })),
    planChanges: changes.map(toPlanChangeView),
    moves: moves.map(toMoveView),
    findings: findings.map(toFindingView),
  };
}
