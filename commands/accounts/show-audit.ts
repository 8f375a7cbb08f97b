import { ok, type Refusal, type Result } from "#core/result.ts";
import { listAudit, type AuditEntry, type AuditFilter } from "#db/accounts/audit.ts";
import type { Deps } from "#commands/deps.ts";
import { cutKeyed, readKeyset } from "#commands/keyset.ts";
import type { Page, PageRequest } from "#commands/page.ts";

export type { AuditEntry };

/** Who changed what, the newest first. */
export async function showAudit(
  deps: Pick<Deps, "db">,
  filter: AuditFilter,
  { limit, cursor }: PageRequest,
): Promise<Result<Page<AuditEntry>, Refusal<"cursor_invalid">>> {
  const of = { list: "audit", sort: "-at", key: "instant", filter } as const;
  const after = readKeyset(cursor, of);
  if (!after.ok) return after;
  const rows = await listAudit(deps.db, filter, { limit: limit + 1, after: after.value });
  return ok(cutKeyed(rows, limit, (row) => ({ key: row.at.toISOString(), id: row.id }), of));
}
