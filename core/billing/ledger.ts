import type { Currency, Money } from "#core/money.ts";

/**
 * Accounts of the ledger. Positive entries are debits, negative ones credits; each transaction sums to zero in
 * each currency (invariant 8), which the database checks at commit.
 */
export const LEDGER_ACCOUNTS = ["stripe_balance", "customer_revenue", "customer_refunds"] as const;
export type LedgerAccount = (typeof LEDGER_ACCOUNTS)[number];

export const LEDGER_KINDS = ["payment", "refund", "refund_reversal"] as const;
export type LedgerKind = (typeof LEDGER_KINDS)[number];

export type LedgerEntry = Readonly<{ account: LedgerAccount; minor: bigint; currency: Currency }>;
export type LedgerTransaction = Readonly<{
  kind: LedgerKind;
  /** What caused it at the provider (invoice or refund id): one transaction for each, ever. */
  reference: string;
  orderId: string;
  entries: readonly LedgerEntry[];
}>;

const move = (m: Money, debit: LedgerAccount, credit: LedgerAccount): readonly LedgerEntry[] => [
  { account: debit, minor: m.minor, currency: m.currency },
  { account: credit, minor: -m.minor, currency: m.currency },
];

export const paymentReceived = (
  orderId: string,
  invoiceId: string,
  paid: Money,
): LedgerTransaction => ({
  kind: "payment",
  reference: invoiceId,
  orderId,
  entries: move(paid, "stripe_balance", "customer_revenue"),
});

export const refundMade = (
  orderId: string,
  refundId: string,
  refunded: Money,
): LedgerTransaction => ({
  kind: "refund",
  reference: refundId,
  orderId,
  entries: move(refunded, "customer_refunds", "stripe_balance"),
});

/** The bank sent the refund back: the money is with us again, and owed. */
export const refundReversed = (
  orderId: string,
  refundId: string,
  refunded: Money,
): LedgerTransaction => ({
  kind: "refund_reversal",
  reference: refundId,
  orderId,
  entries: move(refunded, "stripe_balance", "customer_refunds"),
});
