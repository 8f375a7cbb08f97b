import type { Refusal, Result } from "#core/result.ts";
import { listAudit, type AuditEntry, type AuditFilter } from "#db/accounts/audit.ts";
import type { Deps } from "#commands/deps.ts";
import { orderedPage } from "#commands/keyset.ts";
import type { Page, PageRequest } from "#commands/page.ts";

export type { AuditEntry };

/** Who changed what, the newest first. */
export const showAudit = (
  deps: Pick<Deps, "db">,
  filter: AuditFilter,
  page: PageRequest,
): Promise<Result<Page<AuditEntry>, Refusal<"cursor_invalid">>> =>
  orderedPage(
    { list: "audit", sort: "-at", key: "instant", filter },
    page,
    (at) => listAudit(deps.db, filter, at),
    (entry) => ({ key: entry.at.toISOString(), id: entry.id }),
  );
