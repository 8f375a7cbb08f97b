import { and, asc, eq, isNull, lte, sql } from "drizzle-orm";
import type { Tx } from "#db/client.ts";
import { services } from "#db/schema/billing.ts";
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

/** Findings of it that are so no longer. */
export async function billedAgain(
  tx: Tx,
  kind: string,
  before: Date,
  limit: number,
): Promise<readonly { id: string }[]> {
  return tx
    .select({ id: findings.id })
    .from(findings)
    .leftJoin(services, and(eq(services.vmId, findings.vmId), hangs(before)))
    .where(and(eq(findings.kind, kind), isNull(findings.endedAt), isNull(services.vmId)))
    .limit(limit);
}
