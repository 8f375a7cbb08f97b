import { AuditDetail, type AuditEntryView } from "#core/contracts/api/audit.ts";
import { isIdKind, toWireId } from "#core/ids.ts";
import type { AuditEntry } from "#commands/accounts/show-audit.ts";

/* What staff find at their desk, on the wire. */

const ACTOR_IDS = { account: "account", staff: "account", agent: "host" } as const;

/** Ids of ours as everywhere on the wire; what has no such id, a link or a restore, by its bare one. */
export const toAuditView = (e: AuditEntry): AuditEntryView => ({
  id: e.id,
  at: e.at.toISOString(),
  actor: {
    kind: e.actorKind,
    id:
      e.actorKind === "provider" || e.actorKind === "system"
        ? e.actorId
        : toWireId(ACTOR_IDS[e.actorKind], e.actorId),
  },
  action: e.action,
  subject: {
    kind: e.subjectKind,
    id: isIdKind(e.subjectKind) ? toWireId(e.subjectKind, e.subjectId) : e.subjectId,
  },
  detail: AuditDetail.parse(e.detail),
});
