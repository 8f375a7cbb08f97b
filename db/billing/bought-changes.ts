import { and, asc, eq, exists, inArray, isNull, or, sql } from "drizzle-orm";
import type { Tx } from "#db/client.ts";
import { boughtChanges, planChanges, services } from "#db/schema/billing.ts";
import { planPrices, planVersions } from "#db/schema/catalogue.ts";
import { findings } from "#db/schema/hosts.ts";
import { vms } from "#db/schema/vms.ts";

/** Takes VMs that were changed, the oldest change first. Whoever undoes the transaction gives them back. */
export async function takeBoughtChanges(tx: Tx, limit: number): Promise<readonly string[]> {
  const oldest = tx
    .select({ seq: boughtChanges.seq })
    .from(boughtChanges)
    .orderBy(asc(boughtChanges.seq))
    .limit(limit)
    .for("update", { skipLocked: true });
  const rows = await tx
    .delete(boughtChanges)
    .where(inArray(boughtChanges.seq, oldest))
    .returning({ vmId: boughtChanges.vmId });
  return rows.map(({ vmId }) => vmId);
}

/** How a VM stands to what was bought of it. */
export type HeldAgainst = Readonly<{
  vmId: string;
  hostId: string;
  /** A change of it is open: nobody can say yet. */
  isChanging: boolean;
  sizeDiffers: boolean;
  priceDiffers: boolean;
}>;

/**
 * Of these VMs. A disk is not looked at: it may be larger than the plan's, as none shrinks, and smaller, as its owner may keep it so. Who
 * has his VM of staff or of another system has a price of theirs, or none; who was let keep his price has that. What is to go differs in nothing.
 */
export async function heldAgainstBought(
  tx: Tx,
  vmIds: readonly string[],
): Promise<readonly HeldAgainst[]> {
  if (vmIds.length === 0) return [];
  const isOpen = exists(
    tx
      .select({ one: sql`1` })
      .from(planChanges)
      .where(and(eq(planChanges.vmId, vms.id), isNull(planChanges.outcome))),
  );
  const hasPrice = exists(
    tx
      .select({ one: sql`1` })
      .from(planPrices)
      .where(
        and(
          eq(planPrices.planId, services.planId),
          eq(planPrices.planVersion, services.planVersion),
          eq(planPrices.interval, services.interval),
          eq(planPrices.currency, services.currency),
          eq(planPrices.amountMinor, services.amountMinor),
        ),
      ),
  );
  const isThere = sql`${vms.presence} = 'present'`;
  return tx
    .select({
      vmId: vms.id,
      hostId: vms.hostId,
      isChanging: sql<boolean>`${isOpen}`,
      sizeDiffers: sql<boolean>`${isThere} and (${vms.vcpus}, ${vms.memoryMib}, ${vms.bandwidthMbit}, ${vms.diskIops})
        is distinct from (${planVersions.vcpus}, ${planVersions.memoryMib}, ${planVersions.bandwidthMbit}, ${planVersions.diskIops})`,
      priceDiffers: sql<boolean>`${isThere} and ${services.payer} = 'stripe' and not ${services.priceKept} and not ${hasPrice}`,
    })
    .from(vms)
    .innerJoin(services, eq(services.vmId, vms.id))
    .innerJoin(
      planVersions,
      and(eq(planVersions.planId, services.planId), eq(planVersions.version, services.planVersion)),
    )
    .where(inArray(vms.id, [...new Set(vmIds)]));
}

/** Open findings of VMs that no longer differ, or are elsewhere. */
export async function overBoughtFindings(
  tx: Tx,
  over: readonly Readonly<{ vmId: string; kind: string }>[],
): Promise<readonly { id: string }[]> {
  if (over.length === 0) return [];
  const kinds = new Map<string, string[]>();
  for (const { kind, vmId } of over) kinds.set(kind, [...(kinds.get(kind) ?? []), vmId]);
  return tx
    .select({ id: findings.id })
    .from(findings)
    .where(
      and(
        isNull(findings.endedAt),
        or(
          ...[...kinds].map(([kind, ids]) =>
            and(eq(findings.kind, kind), inArray(findings.vmId, ids)),
          ),
        ),
      ),
    );
}
