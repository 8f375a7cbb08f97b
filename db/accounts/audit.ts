import { inArray } from "drizzle-orm";
import type { Db } from "#db/client.ts";
import { inOrder, type KeysetPage } from "#db/keyset.ts";
import { having, readPlaces, type Narrowing, type ReadPage } from "#db/read-places.ts";
import { auditLog } from "#db/schema/audit.ts";

export type AuditEntry = Readonly<typeof auditLog.$inferSelect>;
export type AuditFilter = Readonly<{
  /** The bare UUID of what was changed. */
  subject: string | null;
  /** As `audit_log.actor_id` has it. */
  actor: string | null;
  from: Date | null;
  /** Not included. */
  to: Date | null;
}>;

const NEWEST = { by: auditLog.at, type: "timestamptz", id: auditLog.id, down: true } as const;

/** What was changed and by whom, the newest first. */
export async function listAudit(
  db: Db,
  { subject, actor, from, to }: AuditFilter,
  page: KeysetPage,
): Promise<ReadPage<AuditEntry>> {
  const narrowings: Narrowing[] = [];
  if (subject !== null) narrowings.push(having(auditLog.subjectId, subject, "ordered"));
  if (actor !== null) narrowings.push(having(auditLog.actorId, actor, "ordered"));
  const between = { from: from && from.toISOString(), to: to && to.toISOString() };
  const list = { table: auditLog, order: NEWEST, between, narrowings };
  const { ids, end } = await readPlaces(db, list, page);
  const rows = await db
    .select()
    .from(auditLog)
    .where(inArray(auditLog.id, [...ids]))
    .orderBy(...inOrder(NEWEST));
  return { rows, end };
}
