import { sql } from "drizzle-orm";
import {
  bigint,
  check,
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
import { MAIL_KINDS, MAIL_REFUSALS, MAIL_STATES } from "#core/messages/mail.ts";
import { BILLING_QUEUES } from "#core/ports.ts";
import { accounts, locale } from "./accounts.ts";
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

export const mailKind = pgEnum("mail_kind", MAIL_KINDS);
export const mailState = pgEnum("mail_state", MAIL_STATES);

export const mailRefusal = pgEnum("mail_refusal", MAIL_REFUSALS);

/**
 * Addresses that take no mail of ours, or want none: nothing more goes there until whoever has it proves it by a link, or staff take
 * the row away.
 */
export const refusingAddresses = pgTable(
  "refusing_addresses",
  {
    address: text("address").primaryKey(),
    kind: mailRefusal("kind").notNull(),
    /** What the provider says of it. */
    reason: text("reason").notNull(),
    /** The mail that it was found out by. */
    mailId: uuid("mail_id").notNull(),
    notedAt: instant("noted_at").notNull(),
  },
  (t) => [
    index("refusing_addresses_noted_at_idx").on(t.notedAt),
    index("refusing_addresses_mail_idx").on(t.mailId),
    check("refusing_addresses_reason_length", sql`length(${t.reason}) between 1 and 300`),
  ],
);

/**
 * Mails to customers, each once for what it tells of (`cause`, ADR 0065). A row is written with what it tells of; who gets it, in
 * which language and with which values is filled in whenever its turn comes, and stays as it was sent. What is secret in a letter
 * stands nowhere here.
 */
export const mails = pgTable(
  "mails",
  {
    id: uuid("id").primaryKey(),
    kind: mailKind("kind").notNull(),
    /** Names what it tells of, ours or the provider's; of one that staff send again, that. */
    cause: text("cause").notNull(),
    /** What is looked up to fill it. */
    about: text("about").notNull(),
    state: mailState("state").notNull().default("waiting"),
    accountId: uuid("account_id").references(() => accounts.id),
    toAddress: text("to_address"),
    locale: locale("locale"),
    values: jsonb("values"),
    subject: text("subject"),
    createdAt: instant("created_at").notNull(),
    /** When it is tried next; while somebody tries, when another may. Null: it is over. */
    nextTryAt: instant("next_try_at"),
    tries: integer("tries").notNull().default(0),
    /** Why it was not taken, or not sent at all. */
    lastError: text("last_error"),
    endedAt: instant("ended_at"),
    /** The one that staff had sent again. */
    resentFrom: uuid("resent_from"),
  },
  (t) => [
    uniqueIndex("mails_once_key").on(t.kind, t.cause),
    index("mails_waiting_idx")
      .on(t.nextTryAt)
      .where(sql`${t.state} = 'waiting'`),
    index("mails_ended_idx")
      .on(t.endedAt)
      .where(sql`${t.endedAt} is not null`),
    index("mails_about_idx").on(t.about, t.kind),
    // Staff's lists, the newest first.
    index("mails_of_account_idx").on(t.accountId, t.id),
    index("mails_of_kind_idx").on(t.kind, t.id),
    index("mails_by_state_idx").on(t.state, t.id),
    check(
      "mails_over_or_waiting",
      sql`(${t.state} = 'waiting') = (${t.nextTryAt} is not null) and (${t.state} = 'waiting') = (${t.endedAt} is null)`,
    ),
    check(
      "mails_sent_is_filled",
      sql`${t.state} <> 'sent' or num_nonnulls(${t.accountId}, ${t.toAddress}, ${t.locale}, ${t.values}, ${t.subject}) = 5`,
    ),
  ],
);
