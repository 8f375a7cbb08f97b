import { actorOf, mayTouch, type AccountPrincipal } from "#core/accounts/accounts.ts";
import type { VmView } from "#db/vms/vms.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import {
  endsToTell,
  loadService,
  lockService,
  markTried,
  saveEnd,
  servicesToEnd,
  type Service,
} from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import { outdateLooks } from "#db/orders/orders.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { loadVmView, lockVm, type VmRow } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";
import { requestAction } from "#commands/vms/request-action.ts";

export type EndRefusal = Refusal<"vm_not_found" | "vm_protected" | "vm_cancelled">;
type Wish = Readonly<{ who: AccountPrincipal; vmId: string; ends: boolean }>;

/**
 * Says that a VM is to end with the period that is paid, or takes that back; for its owner. The provider is told afterwards
 * (`tellEnd`), and when the period is over the VM is deleted as by its owner's own delete. A repeat changes nothing.
 */
export async function sayEnd(deps: Deps, wish: Wish): Promise<Result<VmView, EndRefusal>> {
  return inTransaction(deps.db, async (tx): Promise<Result<VmView, EndRefusal>> => {
    const decided = await decide(deps, tx, wish);
    if (!decided.ok) return decided;
    await write(deps, tx, wish, decided.value, null);
    const view = await loadVmView(tx, wish.vmId);
    if (!view) throw new Error(`VM ${wish.vmId} vanished`);
    return ok(view);
  });
}

/** The same by staff, with a reason. */
export const forceEnd = (
  deps: Deps,
  wish: Wish & Asked & { reason: string },
): Promise<Result<ForcedPlan, EndRefusal | Refusal<"plan_changed">>> =>
  force(deps, wish, async (tx): Promise<Result<Planned<null, EndRefusal>, EndRefusal>> => {
    const decided = await decide(deps, tx, wish);
    if (!decided.ok) return decided;
    const { vm, service } = decided.value;
    const until = service.entitledUntil.toISOString();
    return ok({
      of: { vmId: vm.id, ends: wish.ends, before: service.endWanted, until },
      effects: effectsOf(wish.ends, service),
      act: async () => {
        await write(deps, tx, wish, decided.value, wish.reason);
        return ok(null);
      },
    });
  });

const effectsOf = (ends: boolean, service: Service): readonly string[] => {
  if (service.endWanted === ends) return [`nothing: it ${ends ? "ends" : "goes on"} already`];
  return ends
    ? [
        "it runs on until the period that is paid is over, and is deleted then",
        "no further period is charged; it can be taken back until then",
      ]
    : ["it goes on, and the next period is charged"];
};

async function decide(
  deps: Deps,
  tx: Tx,
  { who, vmId, ends }: Wish,
): Promise<Result<{ vm: VmRow; service: Service }, EndRefusal>> {
  const vm = await lockVm(tx, vmId);
  if (!vm || vm.presence === "absent" || !mayTouch(who, vm.accountId))
    return refuse("vm_not_found", "no such VM");
  const service = await loadService(tx, vm.id);
  if (ends && vm.deleteProtected)
    return refuse("vm_protected", "it is protected from deletion: take that off first");
  if (!ends && service.cancelAt !== null && service.cancelAt <= deps.clock.now())
    return refuse("vm_cancelled", "its last period is over, and it is being deleted");
  return ok({ vm, service });
}

async function write(
  deps: Deps,
  tx: Tx,
  { who, ends }: Wish,
  { vm, service }: { vm: VmRow; service: Service },
  reason: string | null,
): Promise<void> {
  if (service.endWanted === ends) return;
  const at = stamp(deps);
  const isBilled = service.subscriptionId !== null;
  await saveEnd(tx, vm.id, {
    endWanted: ends,
    endSaidAt: at.now,
    endUntold: isBilled,
    // Where nobody bills, the period is what was granted.
    cancelAt: ends && !isBilled ? service.entitledUntil : null,
  });
  await recordChange(
    tx,
    {
      actor: actorOf(who),
      action: ends ? "service.cancel" : "service.uncancel",
      subject: { kind: "vm", id: vm.id },
      detail: { ...(reason !== null && { reason }) },
      events: [{ name: "service.end_said.v1", data: { vmId: vm.id } }],
    },
    at,
  );
}

/**
 * Tells the provider what was said last of the end of a service, and remembers when it ends. May be repeated: what was said
 * anew meanwhile is told by its own event, and by the sweep. Throws when the provider is away.
 */
export async function tellEnd(deps: Deps, vmId: string): Promise<string> {
  const said = await loadService(deps.db, vmId);
  if (!said.endUntold || said.subscriptionId === null || said.endSaidAt === null)
    return "nothing_to_do";
  const { cancelAt } = await deps.payments.endWithPeriod(said.subscriptionId, {
    ends: said.endWanted,
    saidAt: said.endSaidAt,
  });
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx) => {
    // Who looked before it was told has seen what is so no longer.
    await outdateLooks(tx, vmId);
    const now = await lockService(tx, vmId);
    if (!now.endUntold || +(now.endSaidAt ?? 0) !== +(said.endSaidAt ?? 0)) return "said_anew";
    // It has ended there meanwhile: what was taken back too late is not.
    const endWanted = cancelAt !== null;
    await saveEnd(tx, vmId, { endWanted, endUntold: false, cancelAt });
    await recordChange(
      tx,
      {
        actor: { kind: "system", id: "end-with-period" },
        action: "service.end_told",
        subject: { kind: "vm", id: vmId },
        detail: { ends: endWanted, cancel_at: cancelAt?.toISOString() ?? null },
        events: [{ name: "service.end_told.v1", data: { vmId } }],
      },
      at,
    );
    return "told";
  });
}

/**
 * Follows an end that somebody planned at the provider itself, or took back there, as if its owner had said so here. Part of the caller's
 * transaction, which holds its order.
 */
export async function followEnd(
  tx: Tx,
  vmId: string,
  end: Readonly<{ endWanted: boolean; cancelAt: Date | null }>,
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<void> {
  await saveEnd(tx, vmId, { ...end, endSaidAt: at.now });
  await recordChange(
    tx,
    {
      actor,
      action: "service.end_seen",
      subject: { kind: "vm", id: vmId },
      detail: { ends: end.endWanted, cancel_at: end.cancelAt?.toISOString() ?? null },
      events: [{ name: "service.end_told.v1", data: { vmId } }],
    },
    at,
  );
}

const AT_ONCE = 50;

/** Tells what a lost message left untold. */
export async function retryEnds(deps: Deps): Promise<{ told: number; failed: number }> {
  const count = { told: 0, failed: 0 };
  for (const vmId of await endsToTell(deps.db, AT_ONCE)) {
    try {
      await tellEnd(deps, vmId);
      count.told++;
    } catch (error) {
      count.failed++;
      deps.log.error("retry_ends.failed", { vm_id: vmId, error });
      await markTried(deps.db, vmId, deps.clock.now());
    }
  }
  return count;
}

/**
 * Deletes the VMs whose last period is over, once the provider bills for them no more: whoever took the end back at the provider
 * keeps the VM. What is on one that is suspended for abuse or in a dispute stays until that is lifted.
 */
export async function endServices(deps: Deps): Promise<{ ended: number; refused: number }> {
  const count = { ended: 0, refused: 0 };
  for (const vmId of await servicesToEnd(deps.db, deps.clock.now(), AT_ONCE)) {
    const who = { job: "end-with-period" };
    const asked = await requestAction(deps, { who, vmId, type: "delete" });
    count[asked.ok ? "ended" : "refused"]++;
    if (!asked.ok) deps.log.info("end_services.refused", { vm_id: vmId, code: asked.error.code });
  }
  return count;
}
