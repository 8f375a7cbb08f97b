import { billedOtherwise } from "#core/billing/billed-otherwise.ts";
import { isOver } from "#core/billing/entitlement.ts";
import type { SubscriptionState } from "#core/billing/payments.ts";
import type { FindingKind } from "#core/hosts/finding.ts";
import { overBoughtFindings } from "#db/billing/bought-changes.ts";
import { openChangeOf } from "#db/billing/plan-changes.ts";
import { loadService } from "#db/billing/services.ts";
import type { Tx } from "#db/client.ts";
import type { Actor } from "#db/record-change.ts";
import { loadVm } from "#db/vms/vms.ts";
import {
  endThese,
  NOTHING_NOTED,
  openFindings,
  type NotedFindings,
} from "#commands/hosts/note-findings.ts";

const KIND = "billed_otherwise" satisfies FindingKind;

/**
 * Tells staff of a subscription that bills something else than what was bought: a price or a quantity that somebody changed at the
 * provider by hand, where the VM stays as it is. While a change of the VM is open nobody can say, and of what has ended nothing is billed. Part of the
 * caller's transaction, which holds the order.
 */
export async function noteBilled(
  tx: Tx,
  { vmId }: { vmId: string },
  { items, status }: Pick<SubscriptionState, "items" | "status">,
  at: { now: Date; newId: () => string },
  actor: Actor,
): Promise<NotedFindings> {
  const vm = await loadVm(tx, vmId);
  if (!vm) return NOTHING_NOTED;
  const isBilled =
    vm.presence === "present" && !isOver(status) && (await openChangeOf(tx, vmId)) === undefined;
  const detail = isBilled ? billedOtherwise((await loadService(tx, vmId)).price, items) : null;
  if (detail === null) {
    const over = await overBoughtFindings(tx, [{ vmId, kind: KIND }]);
    return { opened: [], ended: await endThese(tx, over, at, actor) };
  }
  const found = { kind: KIND, subject: vmId, vmId, detail, hostId: vm.hostId };
  return { opened: await openFindings(tx, [found], at, actor), ended: [] };
}
