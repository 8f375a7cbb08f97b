import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { StaffVmView } from "#core/contracts/api/staff-vms.ts";
import { toWireId } from "#core/ids.ts";
import type { VmView } from "#commands/vms/show-vm.ts";
import type { StaffVm } from "#commands/vms/show-staff-vm.ts";
import { toActionView, toFindingView, toVmView } from "./views.ts";

const iso = (at: Date | null): string | null => at?.toISOString() ?? null;

/** One of a list. */
export const toListedVm = (view: VmView, now: Date, who: Pick<AccountPrincipal, "role">) => ({
  ...toVmView(view, now, who),
  accountId: toWireId("account", view.vm.accountId),
  hostId: toWireId("host", view.vm.hostId),
  deletedAt: iso(view.vm.deletedAt),
});

export function toStaffVmView(
  { view, host, hostSilentSince, actions, findings }: StaffVm,
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
      ...toActionView(action, who, vm),
      waitsFor: waitsFor && { ...waitsFor },
    })),
    findings: findings.map(toFindingView),
  };
}
