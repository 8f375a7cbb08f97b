import type { ReceivedVmReport } from "#core/contracts/agent/report.ts";
import type { ObservedPower } from "#core/vms/vm.ts";
import type { Tx } from "#db/client.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { saveObservation, type VmRow } from "#db/vms/vms.ts";

/* What a host tells of its VMs that nobody asked it for, and staff must hear of: it is logged, and written beside the VM. */

/** A look of its host that began before the delete may still hold it. */
const RETURNED_AFTER_MS = 60_000;

type Returned = Readonly<{ vm: VmRow; power: ObservedPower | null }>;

/** VMs that their host had proved to be gone, and shows again: brought back by hand, or never gone. */
export function returnedVms(
  rows: ReadonlyMap<string, VmRow>,
  seen: readonly ReceivedVmReport[],
  strangers: readonly { vmId: string; power?: ObservedPower | undefined }[],
  now: Date,
): readonly Returned[] {
  const shown = new Map<string, ObservedPower | null>();
  for (const { vmId, power = null } of strangers) shown.set(vmId, power);
  for (const { vmId, observed } of seen) if (observed) shown.set(vmId, observed.power);
  return [...shown].flatMap(([vmId, power]) => {
    const vm = rows.get(vmId);
    const isBack = vm?.deletedAt && +now - +vm.deletedAt >= RETURNED_AFTER_MS;
    return isBack ? [{ vm, power }] : [];
  });
}

/** Once for each return, in the caller's transaction: what is seen of it is written beside its delete. */
export async function noteReturn(
  tx: Tx,
  vm: VmRow,
  power: ObservedPower | null,
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<void> {
  if (power === null || vm.observedPower !== null) return;
  await saveObservation(tx, vm.id, { observedPower: power, observedAt: at.now });
  await recordChange(
    tx,
    {
      actor,
      action: "vm.seen_after_delete",
      subject: { kind: "vm", id: vm.id },
      detail: { power },
      events: [],
    },
    at,
  );
}

/** What the host did about a VM that others had their hands on. */
export async function noteFinding(
  tx: Tx,
  vmId: string,
  found: { code: string; detail: string },
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<void> {
  await recordChange(
    tx,
    {
      actor,
      action: "vm.host_finding",
      subject: { kind: "vm", id: vmId },
      detail: found,
      events: [],
    },
    at,
  );
}
