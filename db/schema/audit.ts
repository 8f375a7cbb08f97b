import { index, jsonb, pgEnum, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { instant } from "./columns.ts";

export const actorKind = pgEnum("actor_kind", ["account", "staff", "agent", "provider", "system"]);

/** Who changed what, written with the change. Ids and facts; never bodies or secrets. */
export const auditLog = pgTable(
  "audit_log",
  {
    id: uuid("id").primaryKey(),
    at: instant("at").notNull(),
    actorKind: actorKind("actor_kind").notNull(),
    /** Account or host id, the provider's event id, or the name of the job. */
    actorId: text("actor_id").notNull(),
    action: text("action").notNull(),
    subjectKind: text("subject_kind").notNull(),
    subjectId: uuid("subject_id").notNull(),
    detail: jsonb("detail").notNull(),
  },
  (t) => [
    // Staff look it through by these, the newest first.
    index("audit_log_subject_idx").on(t.subjectId, t.at, t.id),
    index("audit_log_actor_idx").on(t.actorId, t.at, t.id),
    index("audit_log_at_idx").on(t.at, t.id),
  ],
);
