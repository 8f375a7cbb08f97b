import { sql } from "drizzle-orm";
import { check, index, pgEnum, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { LEDGER_ACCOUNTS, LEDGER_KINDS } from "#core/billing/ledger.ts";
import { currencyCode, instant, minorUnits } from "./columns.ts";
import { orders } from "./orders.ts";

export const ledgerAccount = pgEnum("ledger_account", LEDGER_ACCOUNTS);
export const ledgerKind = pgEnum("ledger_kind", LEDGER_KINDS);

/** Append-only (a trigger refuses update and delete); balanced at commit (a deferred constraint trigger). */
export const ledgerTransactions = pgTable(
  "ledger_transactions",
  {
    id: uuid("id").primaryKey(),
    kind: ledgerKind("kind").notNull(),
    reference: text("reference").notNull(),
    orderId: uuid("order_id")
      .notNull()
      .references(() => orders.id),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    uniqueIndex("ledger_transactions_reference_key").on(t.kind, t.reference),
    index("ledger_transactions_order_idx").on(t.orderId),
  ],
);

export const ledgerEntries = pgTable(
  "ledger_entries",
  {
    id: uuid("id").primaryKey(),
    transactionId: uuid("transaction_id")
      .notNull()
      .references(() => ledgerTransactions.id),
    account: ledgerAccount("account").notNull(),
    amountMinor: minorUnits("amount_minor").notNull(),
    currency: currencyCode().notNull(),
  },
  (t) => [
    index("ledger_entries_transaction_idx").on(t.transactionId),
    check("ledger_entries_not_zero", sql`${t.amountMinor} <> 0`),
  ],
);
