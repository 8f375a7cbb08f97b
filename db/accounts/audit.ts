import { and, eq, gte, lt } from "drizzle-orm";
import type { Db } from "#db/client.ts";
import { inOrder, isAfter, type KeysetPage } from "#db/keyset.ts";
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
): Promise<readonly AuditEntry[]> {
  return db
    .select()
    .from(auditLog)
    .where(
      and(
        subject === null ? undefined : eq(auditLog.subjectId, subject),
        actor === null ? undefined : eq(auditLog.actorId, actor),
        from === null ? undefined : gte(auditLog.at, from),
        to === null ? undefined : lt(auditLog.at, to),
        isAfter(NEWEST, page.after),
      ),
    )
    .orderBy(...inOrder(NEWEST))
    .limit(page.limit);
}
