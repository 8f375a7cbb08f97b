import { and, asc, eq, isNotNull, isNull, lte, not, notExists, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import type { Tx } from "#db/client.ts";
import { invoices, services } from "#db/schema/billing.ts";
import { orders } from "#db/schema/orders.ts";
import { HAS_OPEN_INVOICE } from "./invoices.ts";
import { findings } from "#db/schema/hosts.ts";
import { vms } from "#db/schema/vms.ts";

/** Billed, its period over since before then, and nothing sent that could be paid. */
const hangs = (before: Date) =>
  and(
    // As the index `services_owed_idx` says it.
    sql`${services.subscriptionId} is not null and not ${services.vmIsToGo}`,
    lte(services.entitledUntil, before),
    sql`${services.subscriptionStatus} not in ('canceled', 'incomplete_expired')`,
    isNull(services.frozenAt),
    sql`not ${HAS_OPEN_INVOICE}`,
  );
const isTold = (kind: string) =>
  and(eq(findings.vmId, services.vmId), eq(findings.kind, kind), isNull(findings.endedAt));

/** Of a renewal that the provider could not send: nobody can pay that. */
const STUCK = and(isNotNull(invoices.stuckBecause), eq(invoices.status, "draft"));

/** VMs with such an invoice of which staff were not told. */
export async function stuckInvoices(
  tx: Tx,
  kind: string,
  limit: number,
): Promise<readonly { vmId: string; hostId: string; providerId: string; why: string }[]> {
  const rows = await tx
    .selectDistinctOn([vms.id], {
      vmId: vms.id,
      hostId: vms.hostId,
      providerId: invoices.providerId,
      why: invoices.stuckBecause,
    })
    .from(invoices)
    .innerJoin(orders, eq(orders.id, invoices.orderId))
    .innerJoin(vms, eq(vms.id, orders.vmId))
    .innerJoin(services, and(eq(services.vmId, vms.id), not(services.vmIsToGo)))
    .leftJoin(findings, isTold(kind))
    .where(and(STUCK, isNull(findings.id)))
    .orderBy(vms.id)
    .limit(limit);
  return rows.map(({ why, ...row }) => ({ ...row, why: why ?? "" }));
}

/** VMs of which it is so and staff were not told, those first that wait longest. */
export async function hangingInvoices(
  tx: Tx,
  kind: string,
  before: Date,
  limit: number,
): Promise<readonly { vmId: string; hostId: string; until: Date }[]> {
  return tx
    .select({ vmId: services.vmId, hostId: vms.hostId, until: services.entitledUntil })
    .from(services)
    .innerJoin(vms, eq(vms.id, services.vmId))
    .leftJoin(findings, isTold(kind))
    .where(and(hangs(before), isNull(findings.id)))
    .orderBy(asc(services.entitledUntil))
    .limit(limit);
}

/** Findings of either that are so no longer. */
export async function billedAgain(
  tx: Tx,
  kind: string,
  before: Date,
  limit: number,
): Promise<readonly { id: string }[]> {
  const billed = alias(services, "billed");
  return tx
    .select({ id: findings.id })
    .from(findings)
    .leftJoin(services, and(eq(services.vmId, findings.vmId), hangs(before)))
    .where(
      and(
        eq(findings.kind, kind),
        isNull(findings.endedAt),
        isNull(services.vmId),
        notExists(
          tx
            .select({ id: invoices.id })
            .from(invoices)
            .innerJoin(orders, eq(orders.id, invoices.orderId))
            .innerJoin(billed, and(eq(billed.vmId, orders.vmId), not(billed.vmIsToGo)))
            .where(and(STUCK, eq(orders.vmId, findings.vmId))),
        ),
      ),
    )
    .limit(limit);
}
