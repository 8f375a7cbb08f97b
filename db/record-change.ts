import { EVENT_ROUTE, type Event } from "#core/contracts/events.ts";
import type { Tx } from "./client.ts";
import { auditLog, type actorKind } from "./schema/audit.ts";
import { outbox } from "./schema/messages.ts";

export type Actor = Readonly<{ kind: (typeof actorKind.enumValues)[number]; id: string }>;
export type SubjectKind =
  | "order"
  | "vm"
  | "host"
  | "finding"
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

/** Writes the audit row and the outbox rows of a change, in the change's own transaction (invariant 20). */
export async function recordChange(
  tx: Tx,
  change: Change,
  at: { now: Date; newId: () => string },
): Promise<void> {
  await tx.insert(auditLog).values({
    id: at.newId(),
    at: at.now,
    actorKind: change.actor.kind,
    actorId: change.actor.id,
    action: change.action,
    subjectKind: change.subject.kind,
    subjectId: change.subject.id,
    detail: change.detail ?? {},
  });
  if (change.events.length === 0) return;
  await tx.insert(outbox).values(
    change.events.map((e) => ({
      id: at.newId(),
      name: e.name,
      data: e.data,
      createdAt: at.now,
      // What is only kept as the record waits for no relay.
      sentAt: EVENT_ROUTE[e.name] === "record" ? at.now : null,
    })),
  );
}
