import { sql } from "drizzle-orm";
import { EVENT_ROUTE, type Event } from "#core/contracts/events.ts";
import { mailOfEvent } from "#core/messages/mail.ts";
import type { Tx } from "./client.ts";
import { list, runNamed } from "./named.ts";
import { auditLog, type actorKind } from "./schema/audit.ts";
import { mails, outbox } from "./schema/messages.ts";

export type Actor = Readonly<{
  kind: (typeof actorKind.enumValues)[number];
  id: string;
  /** As whom a member of staff did it. */
  onBehalfOf?: string;
}>;
export type SubjectKind =
  | "order"
  | "vm"
  | "host"
  | "finding"
  | "agent_release"
  | "agent_rollout"
  | "restore"
  | "action"
  | "account"
  | "link"
  | "mail"
  | "plan"
  | "plan_migration"
  | "image"
  | "location";
export type Change = Readonly<{
  actor: Actor;
  action: string;
  subject: { kind: SubjectKind; id: string };
  detail?: Readonly<Record<string, string | number | boolean | null>>;
  events: readonly Event[];
}>;

type At = Readonly<{ now: Date; newId: () => string }>;

/**
 * Writes the audit row and the outbox rows of a change, and the mails that fall due with its events, in the change's own
 * transaction (invariant 20), by one statement.
 */
export const recordChange = (tx: Tx, change: Change, at: At): Promise<void> =>
  recordChanges(tx, [change], at);

const detailOf = ({ actor, detail }: Pick<Change, "actor" | "detail">) => ({
  ...detail,
  ...(actor.onBehalfOf !== undefined && { on_behalf_of: actor.onBehalfOf }),
});

/** The same of many changes, by one statement too. */
export async function recordChanges(tx: Tx, changes: readonly Change[], at: At): Promise<void> {
  if (changes.length === 0) return;
  const now = at.now.toISOString();
  const rows = changes.map((change) => ({
    id: at.newId(),
    ...change,
    events: change.events.map((event) => ({ id: at.newId(), event })),
  }));
  const events = rows.flatMap((row) => row.events);
  const due = events.flatMap(({ id, event }) => {
    const mail = mailOfEvent(event);
    return mail === undefined ? [] : [{ id: at.newId(), cause: id, ...mail }];
  });
  // What is only kept as the record waits for no relay.
  const sentAt = (e: Event) => (EVENT_ROUTE[e.name] === "record" ? now : null);
  await runNamed(
    tx,
    "record_changes",
    sql`
    with audited as (
      insert into ${auditLog} (id, at, actor_kind, actor_id, action, subject_kind, subject_id, detail)
      select n.id, ${now}::timestamptz, n.actor_kind, n.actor_id, n.action, n.subject_kind, n.subject_id, n.detail
      from unnest(
        ${list(rows, (r) => r.id)}::uuid[], ${list(rows, (r) => r.actor.kind)}::actor_kind[],
        ${list(rows, (r) => r.actor.id)}::text[], ${list(rows, (r) => r.action)}::text[],
        ${list(rows, (r) => r.subject.kind)}::text[], ${list(rows, (r) => r.subject.id)}::uuid[],
        ${list(rows, (r) => JSON.stringify(detailOf(r)))}::jsonb[]
      ) as n (id, actor_kind, actor_id, action, subject_kind, subject_id, detail)
    ), fell_due as (
      insert into ${mails} (id, kind, cause, about, created_at, next_try_at)
      select n.*, ${now}::timestamptz, ${now}::timestamptz from unnest(
        ${list(due, (m) => m.id)}::uuid[], ${list(due, (m) => m.kind)}::mail_kind[],
        ${list(due, (m) => m.cause)}::text[], ${list(due, (m) => m.about)}::text[]
      ) as n
    )
    insert into ${outbox} (id, name, data, created_at, sent_at)
    select n.id, n.name, n.data, ${now}::timestamptz, n.sent_at from unnest(
      ${list(events, (e) => e.id)}::uuid[], ${list(events, (e) => e.event.name)}::event_name[],
      ${list(events, (e) => JSON.stringify(e.event.data))}::jsonb[], ${list(events, (e) => sentAt(e.event))}::timestamptz[]
    ) with ordinality as n (id, name, data, sent_at, nth) order by n.nth`,
  );
}
