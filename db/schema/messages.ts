import { sql } from "drizzle-orm";
import {
  bigint,
  index,
  integer,
  jsonb,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { EVENT_NAMES } from "#core/contracts/events.ts";
import { BILLING_QUEUES } from "#core/ports.ts";
import { instant } from "./columns.ts";

export const eventName = pgEnum("event_name", EVENT_NAMES);

/** Events that were decided, to be rung or done after the commit. A sent row is kept for a while. */
export const outbox = pgTable(
  "outbox",
  {
    seq: bigint("seq", { mode: "bigint" }).primaryKey().generatedAlwaysAsIdentity(),
    id: uuid("id").notNull(),
    name: eventName("name").notNull(),
    data: jsonb("data").notNull(),
    createdAt: instant("created_at").notNull(),
    /** A relay that took the row has until then; after it another one may. */
    leasedUntil: instant("leased_until"),
    attempts: integer("attempts").notNull().default(0),
    sentAt: instant("sent_at"),
  },
  (t) => [
    uniqueIndex("outbox_id_key").on(t.id),
    index("outbox_unsent_idx")
      .on(t.seq)
      .where(sql`${t.sentAt} is null`),
    index("outbox_sent_idx")
      .on(t.sentAt)
      .where(sql`${t.sentAt} is not null`),
  ],
);

export const billingQueue = pgEnum("billing_queue", BILLING_QUEUES);

/** Deliveries as they came, once each. `appliedAt` is null until the state of the world follows them. */
export const inbox = pgTable(
  "inbox",
  {
    source: text("source").notNull(),
    messageId: text("message_id").notNull(),
    type: text("type").notNull(),
    objectKind: text("object_kind").notNull(),
    objectId: text("object_id"),
    /** Of a subscription, when the event came about; null for everything else. */
    objectVersion: text("object_version"),
    /** The queue that rings for it. The default is for a function of the release before, while this one is rolled out. */
    queue: billingQueue("queue").notNull().default("billing-events"),
    /** The raw body; read by people only. */
    body: text("body").notNull(),
    receivedAt: instant("received_at").notNull(),
    appliedAt: instant("applied_at"),
    /** When the sweep last rang for it: then the others have their turn first. */
    rungAt: instant("rung_at"),
    /** Until then somebody looks at its object; a look that was cut short ends with it. */
    lookedAtUntil: instant("looked_at_until"),
    outcome: text("outcome"),
  },
  (t) => [
    primaryKey({ name: "inbox_pkey", columns: [t.source, t.messageId] }),
    index("inbox_unapplied_idx")
      .on(t.receivedAt)
      .where(sql`${t.appliedAt} is null`),
    index("inbox_unapplied_object_idx")
      .on(t.objectId)
      .where(sql`${t.appliedAt} is null`),
    index("inbox_unhandled_idx")
      .on(t.appliedAt)
      .where(sql`${t.outcome} = 'unhandled'`),
    index("inbox_applied_idx")
      .on(t.appliedAt)
      .where(sql`${t.appliedAt} is not null`),
  ],
);

export const idempotencyKeys = pgTable(
  "idempotency_keys",
  {
    accountId: uuid("account_id").notNull(),
    key: text("key").notNull(),
    requestHash: text("request_hash").notNull(),
    /** What the key's first request made; a repeat that comes before the answer goes on from it. */
    resourceId: uuid("resource_id").notNull(),
    response: jsonb("response"),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    primaryKey({ name: "idempotency_keys_pkey", columns: [t.accountId, t.key] }),
    index("idempotency_keys_age_idx").on(t.createdAt),
    index("idempotency_keys_resource_idx").on(t.resourceId),
  ],
);
