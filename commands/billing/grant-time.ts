import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import {
  granted,
  MAX_GRANT_DAYS,
  MAX_GRANTED_DAYS,
  MAX_NEVER_SUSPEND_DAYS,
  runsUntil,
} from "#core/billing/entitlement.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadService, saveStaffsWord, type Service } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { bumpDesiredGeneration } from "#db/hosts/hosts.ts";
import { recordChange } from "#db/record-change.ts";
import { lockVm, type VmRow } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";

export type GrantRefusal = Refusal<"vm_not_found" | "grant_too_long">;
type Of = Asked & Readonly<{ who: AccountPrincipal; vmId: string; reason: string }>;
type Granted = Promise<Result<ForcedPlan, GrantRefusal | Refusal<"plan_changed">>>;

const DAY_MS = 24 * 60 * 60_000;

/**
 * Goodwill: a VM may run for some days more than is paid, from the end of what is paid on, or from now where that has passed.
 * A payment neither takes it away nor counts it anew. Sent twice with one hash it is granted once: the second is `plan_changed`.
 */
export const extendEntitlement = (deps: Deps, input: Of & { days: number }): Granted =>
  force(deps, input, async (tx): Promise<Result<Planned<null, GrantRefusal>, GrantRefusal>> => {
    const vm = await lockVm(tx, input.vmId);
    if (!vm || vm.presence === "absent") return refuse("vm_not_found", "no such VM");
    const at = stamp(deps);
    const service = await loadService(tx, vm.id);
    if (input.days > MAX_GRANT_DAYS || service.grantedDays + input.days > MAX_GRANTED_DAYS)
      return refuse(
        "grant_too_long",
        `at most ${MAX_GRANT_DAYS} days at once and ${MAX_GRANTED_DAYS} in all; it was granted ${service.grantedDays}`,
      );
    const until = runsUntil(service);
    const to = granted({ ...service, until }, input.days, at.now);
    return ok({
      of: { ...whatStands(vm, service), days: input.days },
      effects: [
        until > at.now
          ? `it may run ${input.days} days more: until ${runsUntil({ ...service, ...to }).toISOString()}`
          : `it may run again, for ${input.days} days from now`,
        "a payment leaves these days as they are; the provider charges as before",
      ],
      act: () =>
        write(deps, tx, { ...input, vm, to, action: "entitlement.extend", days: input.days }),
    });
  });

/**
 * Until then a VM is not stopped for debt, whatever is unpaid; the mark ends by itself. null takes it away, and what it kept running
 * is past its grace at once. Other suspensions hold all the same.
 */
export const keepFromSuspension = (deps: Deps, input: Of & { until: Date | null }): Granted =>
  force(deps, input, async (tx): Promise<Result<Planned<null, GrantRefusal>, GrantRefusal>> => {
    const vm = await lockVm(tx, input.vmId);
    if (!vm || vm.presence === "absent") return refuse("vm_not_found", "no such VM");
    const { now } = stamp(deps);
    const service = await loadService(tx, vm.id);
    const { until } = input;
    if (until !== null && (until <= now || +until > +now + MAX_NEVER_SUSPEND_DAYS * DAY_MS))
      return refuse("grant_too_long", `it ends within ${MAX_NEVER_SUSPEND_DAYS} days from now`);
    const to = { neverSuspendUntil: until };
    return ok({
      of: { ...whatStands(vm, service), mark: until?.toISOString() ?? null },
      effects: [
        `it may run until ${runsUntil({ ...service, ...to }).toISOString()}, if no other suspension stops it`,
      ],
      act: () => {
        const changes = +(until ?? 0) !== +(service.neverSuspendUntil ?? 0);
        const change = { ...input, vm, to, action: "entitlement.never_suspend", days: null };
        return changes ? write(deps, tx, change) : Promise.resolve(ok(null));
      },
    });
  });

const whatStands = (vm: VmRow, service: Service) => ({
  vmId: vm.id,
  paid: service.entitledUntil.toISOString(),
  grantedDays: service.grantedDays,
  grantedUntil: service.grantedUntil?.toISOString() ?? null,
  neverSuspendUntil: service.neverSuspendUntil?.toISOString() ?? null,
});

async function write(
  deps: Deps,
  tx: Tx,
  of: Readonly<{
    who: AccountPrincipal;
    vm: VmRow;
    to: Parameters<typeof saveStaffsWord>[2];
    action: string;
    reason: string;
    days: number | null;
  }>,
): Promise<Result<null, never>> {
  const { vm, reason, days } = of;
  const at = stamp(deps);
  await saveStaffsWord(tx, vm.id, of.to, at.now);
  const until = runsUntil(await loadService(tx, vm.id)).toISOString();
  await recordChange(
    tx,
    {
      actor: actorOf(of.who),
      action: of.action,
      subject: { kind: "vm", id: vm.id },
      detail: { reason, until, ...(days !== null && { days }) },
      events: [
        { name: "entitlement.changed.v1", data: { vmId: vm.id } },
        { name: "vm.change_requested.v1", data: { vmId: vm.id, hostId: vm.hostId } },
      ],
    },
    at,
  );
  await bumpDesiredGeneration(tx, vm.hostId);
  return ok(null);
}
