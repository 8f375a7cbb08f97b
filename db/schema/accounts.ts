import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  unique,
  uuid,
} from "drizzle-orm/pg-core";
import { ROLES, STAFF_ROLES } from "#core/accounts/accounts.ts";
import { LIMIT_NAMES } from "#core/accounts/attempts.ts";
import { LINK_KINDS } from "#core/accounts/links.ts";
import { LOCALES } from "#core/messages/locale.ts";
import { instant } from "./columns.ts";

/*
 * Who may speak to Berth. better-auth writes these tables through `adapters/log-ins.ts`, so the property names are
 * its field names (https://www.better-auth.com/docs/concepts/database); the SQL names are ours. It checks at start
 * that every field it knows has a column, which is why columns stand here that we leave null.
 */

export const accountRole = pgEnum("account_role", ROLES);
export const staffRole = pgEnum("staff_role", STAFF_ROLES);
export const locale = pgEnum("locale", LOCALES);

/** better-auth's "user". `role`, `staffRole` and `bannedAt` are ours; no request of a client can set them. */
export const accounts = pgTable(
  "accounts",
  {
    id: uuid("id").primaryKey(),
    email: text("email").notNull(),
    emailVerified: boolean("email_verified").notNull().default(false),
    name: text("name").notNull(),
    image: text("image"),
    role: accountRole("role").notNull(),
    /** Null for whom is no staff. */
    staffRole: staffRole("staff_role"),
    twoFactorEnabled: boolean("two_factor_enabled").notNull().default(false),
    /** Ours: in which language mail is written; what the browser asked for that signed up. */
    locale: locale("locale").notNull().default("en"),
    /** Null: may log in and use tokens. Takes effect at the next request. */
    bannedAt: instant("banned_at"),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    unique("accounts_email_unique").on(t.email),
    // Staff's lists, and search by what an address or a name begins with.
    index("accounts_by_email_idx").on(sql`${t.email} collate "C"`, t.id),
    index("accounts_by_name_idx").on(sql`lower(${t.name}) collate "C"`, t.id),
    ...[
      { which: "role", by: t.role },
      { which: "closed", by: sql`(${t.bannedAt} is not null)` },
    ].flatMap(({ which, by }) => [
      index(`accounts_${which}_idx`).on(by, t.id),
      index(`accounts_${which}_by_email_idx`).on(by, sql`${t.email} collate "C"`, t.id),
    ]),
    check("accounts_email_is_lower_case", sql`${t.email} = lower(${t.email})`),
    check("accounts_email_length", sql`length(${t.email}) between 3 and 254`),
    check("accounts_name_length", sql`length(${t.name}) between 1 and 200`),
    check(
      "accounts_staff_have_a_staff_role",
      sql`(${t.role} = 'staff') = (${t.staffRole} is not null)`,
    ),
  ],
);

const owner = () =>
  uuid("account_id")
    .notNull()
    .references(() => accounts.id, { onDelete: "cascade" });

/** A browser's log-in. The cookie is this token with an HMAC; the row alone opens nothing. */
export const sessions = pgTable(
  "sessions",
  {
    id: uuid("id").primaryKey(),
    userId: owner(),
    token: text("token").notNull(),
    ipAddress: text("ip_address"),
    userAgent: text("user_agent"),
    /** Ours: a second factor was shown for it. */
    secondFactor: boolean("second_factor").notNull().default(false),
    /** Ours: who of staff acts in it as this account; null: nobody does, it is their own. */
    impersonatedBy: uuid("impersonated_by").references(() => accounts.id, { onDelete: "cascade" }),
    expiresAt: instant("expires_at").notNull(),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    unique("sessions_token_unique").on(t.token),
    index("sessions_account_id_idx").on(t.userId),
    index("sessions_expires_at_idx").on(t.expiresAt),
    index("sessions_impersonated_by_idx")
      .on(t.impersonatedBy)
      .where(sql`${t.impersonatedBy} is not null`),
    // better-auth lengthens sessions that are used: one of these never.
    check(
      "sessions_impersonation_is_short",
      sql`${t.impersonatedBy} is null or ${t.expiresAt} <= ${t.createdAt} + interval '1 hour'`,
    ),
  ],
);

/** better-auth's "account": one way to prove who one is. Ours is `credential`, a scrypt hash of the password. */
export const credentials = pgTable(
  "credentials",
  {
    id: uuid("id").primaryKey(),
    userId: owner(),
    providerId: text("provider").notNull(),
    accountId: text("provider_account_id").notNull(),
    password: text("password_hash"),
    accessToken: text("access_token"),
    refreshToken: text("refresh_token"),
    idToken: text("id_token"),
    accessTokenExpiresAt: instant("access_token_expires_at"),
    refreshTokenExpiresAt: instant("refresh_token_expires_at"),
    scope: text("scope"),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    unique("credentials_provider_account_unique").on(t.providerId, t.accountId),
    index("credentials_account_id_idx").on(t.userId),
    check(
      "credentials_password_has_hash",
      sql`${t.providerId} <> 'credential' or ${t.password} is not null`,
    ),
  ],
);

/** Short-lived single-use values: a log-in that waits for its second factor, a trusted device. */
export const verifications = pgTable(
  "verifications",
  {
    id: uuid("id").primaryKey(),
    identifier: text("identifier").notNull(),
    value: text("value").notNull(),
    expiresAt: instant("expires_at").notNull(),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
  },
  (t) => [
    index("verifications_identifier_idx").on(t.identifier),
    index("verifications_expires_at_idx").on(t.expiresAt),
  ],
);

/** An authenticator app. Secret and backup codes are encrypted with the instance's secret. */
export const twoFactors = pgTable(
  "two_factors",
  {
    id: uuid("id").primaryKey(),
    userId: owner(),
    secret: text("secret_encrypted").notNull(),
    backupCodes: text("backup_codes_encrypted").notNull(),
    verified: boolean("verified").notNull().default(false),
    failedVerificationCount: integer("failed_verification_count").notNull().default(0),
    lockedUntil: instant("locked_until"),
  },
  (t) => [
    unique("two_factors_account_unique").on(t.userId),
    check("two_factors_failures_not_negative", sql`${t.failedVerificationCount} >= 0`),
  ],
);

export const linkKind = pgEnum("link_kind", LINK_KINDS);

/**
 * Links that were asked for, to be mailed. `address` is what was typed; whether it has an account is looked up by who mails,
 * so that asking tells nobody. A link's secret is drawn when it is mailed, and stands here only as its hash.
 */
export const mailedLinks = pgTable(
  "mailed_links",
  {
    id: uuid("id").primaryKey(),
    kind: linkKind("kind").notNull(),
    address: text("address").notNull(),
    /** Who is to have this address; null: of a link that is for whoever has it. */
    askedBy: uuid("asked_by").references(() => accounts.id, { onDelete: "cascade" }),
    askedAt: instant("asked_at").notNull(),
    /** Null until it was mailed, or nobody was found to mail it to. */
    sentAt: instant("sent_at"),
    accountId: uuid("account_id").references(() => accounts.id, { onDelete: "cascade" }),
    /** SHA-256 of its secret, base64url. The secret has 32 random bytes, so no salt is needed. */
    secretHash: text("secret_hash"),
    endsAt: instant("ends_at"),
    usedAt: instant("used_at"),
  },
  (t) => [
    index("mailed_links_address_idx").on(t.address, t.askedAt),
    index("mailed_links_asked_at_idx").on(t.askedAt),
    index("mailed_links_account_id_idx").on(t.accountId),
    index("mailed_links_asked_by_idx")
      .on(t.askedBy)
      .where(sql`${t.askedBy} is not null`),
    unique("mailed_links_secret_hash_unique").on(t.secretHash),
    check(
      "mailed_links_change_has_asker",
      sql`(${t.kind}::text = 'change_email') = (${t.askedBy} is not null)`,
    ),
    check("mailed_links_address_length", sql`length(${t.address}) between 1 and 254`),
    check(
      "mailed_links_of_an_account",
      sql`(${t.accountId} is null) = (${t.secretHash} is null) and (${t.secretHash} is null) = (${t.endsAt} is null)`,
    ),
  ],
);

/** Codes of authenticator apps that were tried, so that none is good twice; kept for minutes. */
export const spentCodes = pgTable(
  "spent_codes",
  {
    accountId: owner(),
    code: text("code").notNull(),
    spentAt: instant("spent_at").notNull(),
  },
  (t) => [
    primaryKey({ name: "spent_codes_pkey", columns: [t.accountId, t.code] }),
    index("spent_codes_spent_at_idx").on(t.spentAt),
    check("spent_codes_six_figures", sql`${t.code} ~ '^[0-9]{6}$'`),
  ],
);

/**
 * Keys of programs, in the table of better-auth's plugin for keys, which made them once (ADR 0014). `permissions` is the
 * token's scopes as JSON (`{"vms":["read"]}`), `lastRequest` when it was last used, to within some minutes, `metadata` names
 * the tokens that made it. The quota columns (refill, remaining, rate limit), `prefix` and `configId` are no longer written;
 * a later migration drops them, when no Lambda of before is left that does.
 */
export const apiTokens = pgTable(
  "api_tokens",
  {
    id: uuid("id").primaryKey(),
    referenceId: owner(),
    name: text("name").notNull(),
    start: text("start").notNull(),
    prefix: text("prefix"),
    /** SHA-256 of the whole secret, base64url. The secret has 48 random bytes, so no salt is needed. */
    key: text("secret_hash").notNull(),
    permissions: text("permissions").notNull(),
    enabled: boolean("enabled").notNull().default(true),
    expiresAt: instant("expires_at"),
    lastRequest: instant("last_used_at"),
    createdAt: instant("created_at").notNull(),
    updatedAt: instant("updated_at").notNull(),
    configId: text("config_id").notNull().default("default"),
    metadata: text("metadata"),
    refillInterval: integer("refill_interval_ms"),
    refillAmount: integer("refill_amount"),
    lastRefillAt: instant("last_refill_at"),
    rateLimitEnabled: boolean("rate_limit_enabled").notNull().default(false),
    rateLimitTimeWindow: integer("rate_limit_window_ms"),
    rateLimitMax: integer("rate_limit_max"),
    requestCount: integer("request_count").notNull().default(0),
    remaining: integer("remaining"),
  },
  (t) => [
    unique("api_tokens_secret_hash_unique").on(t.key),
    index("api_tokens_account_id_idx").on(t.referenceId),
    index("api_tokens_expires_at_idx").on(t.expiresAt),
    check("api_tokens_hash_is_sha256", sql`${t.key} ~ '^[A-Za-z0-9_-]{43}$'`),
  ],
);

/** What staff write down about an account, for each other. Append-only: what was written stays, with who wrote it. */
export const accountNotes = pgTable(
  "account_notes",
  {
    id: uuid("id").primaryKey(),
    accountId: uuid("account_id")
      .notNull()
      .references(() => accounts.id),
    authorId: uuid("author_id")
      .notNull()
      .references(() => accounts.id),
    text: text("text").notNull(),
    writtenAt: instant("written_at").notNull(),
  },
  (t) => [
    index("account_notes_account_idx").on(t.accountId, t.id),
    check("account_notes_text_length", sql`length(${t.text}) between 1 and 4000`),
  ],
);

export const attemptLimit = pgEnum("attempt_limit", LIMIT_NAMES);

/** Buckets of attempts (`core/accounts/attempts.ts`) that have not run out yet; one that has is as good as none. */
export const attempts = pgTable(
  "attempts",
  {
    limit: attemptLimit("limit_name").notNull(),
    /** SHA-256 of whom or what it counts, base64url: an address, an account. */
    of: text("counted").notNull(),
    runsOutAt: instant("runs_out_at").notNull(),
  },
  (t) => [
    primaryKey({ name: "attempts_pkey", columns: [t.limit, t.of] }),
    index("attempts_runs_out_at_idx").on(t.runsOutAt),
    check("attempts_counted_is_sha256", sql`${t.of} ~ '^[A-Za-z0-9_-]{43}$'`),
  ],
);

/** Networks from which an account was logged in, for some months: attempts from there are counted apart. */
export const knownNetworks = pgTable(
  "known_networks",
  {
    accountId: owner(),
    /** SHA-256 of the network, base64url. */
    network: text("network_hash").notNull(),
    seenAt: instant("seen_at").notNull(),
  },
  (t) => [
    primaryKey({ name: "known_networks_pkey", columns: [t.accountId, t.network] }),
    index("known_networks_seen_at_idx").on(t.seenAt),
    check("known_networks_hash_is_sha256", sql`${t.network} ~ '^[A-Za-z0-9_-]{43}$'`),
  ],
);

/** What better-auth counted attempts by. No longer written; a later migration drops it, when no Lambda of before is left. */
export const authRateLimits = pgTable(
  "auth_rate_limits",
  {
    id: uuid("id").primaryKey(),
    key: text("key").notNull(),
    count: integer("count").notNull(),
    lastRequest: bigint("last_request_ms", { mode: "number" }).notNull(),
  },
  (t) => [
    unique("auth_rate_limits_key_unique").on(t.key),
    index("auth_rate_limits_last_request_idx").on(t.lastRequest),
  ],
);
