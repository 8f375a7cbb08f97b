import { sql } from "drizzle-orm";
import { EVENT_ROUTE, type Event } from "#core/contracts/events.ts";
import type { Tx } from "./client.ts";
import { list, runNamed } from "./named.ts";
import { auditLog, type actorKind } from "./schema/audit.ts";
import { outbox } from "./schema/messages.ts";

export type Actor = Readonly<{ kind: (typeof actorKind.enumValues)[number]; id: string }>;
export type SubjectKind =
  | "order"
  | "vm"
  | "host"
  | "finding"
  | "restore"
  | "action"
  | "account"
  | "link"
  | "plan"
  | "image"
  | "location";
export type Change = Readonly<{
  actor: Actor;
  action: string;
  subject: { kind: SubjectKind; id: string };
  detail?: Readonly<Record<string, string | number | boolean | null>>;
  events: readonly Event[];
}>;

/** Writes the audit row and the outbox rows of a change, in the change's own transaction (invariant 20), by one statement. */
export async function recordChange(
  tx: Tx,
  change: Change,
  at: { now: Date; newId: () => string },
): Promise<void> {
  const { actor, action, subject, detail = {}, events } = change;
  const now = at.now.toISOString();
  // What is only kept as the record waits for no relay.
  const sentAt = (e: Event) => (EVENT_ROUTE[e.name] === "record" ? now : null);
  await runNamed(
    tx,
    "record_change",
    sql`
    with audited as (
      insert into ${auditLog} (id, at, actor_kind, actor_id, action, subject_kind, subject_id, detail)
      values (${at.newId()}, ${now}, ${actor.kind}, ${actor.id}, ${action}, ${subject.kind}, ${subject.id},
        ${JSON.stringify(detail)}::jsonb)
    )
    insert into ${outbox} (id, name, data, created_at, sent_at)
    select n.id, n.name, n.data, ${now}::timestamptz, n.sent_at from unnest(
      ${list("uuid", events, () => at.newId())}, ${list("event_name", events, (e) => e.name)},
      ${list("jsonb", events, (e) => JSON.stringify(e.data))}, ${list("timestamptz", events, sentAt)}
    ) with ordinality as n (id, name, data, sent_at, nth) order by n.nth`,
  );
}
