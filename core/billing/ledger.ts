import type { Currency, Money } from "#core/money.ts";

/**
 * Accounts of the ledger. Positive entries are debits, negative ones credits; each transaction sums to zero in
 * each currency (invariant 8), which the database checks at commit.
 */
export const LEDGER_ACCOUNTS = [
  "stripe_balance",
  "customer_revenue",
  "customer_refunds",
  /** What we owe customers as credit: what their balances at the provider say, with its sign turned. */
  "customer_credit",
] as const;
export type LedgerAccount = (typeof LEDGER_ACCOUNTS)[number];

export const LEDGER_KINDS = ["payment", "refund", "refund_reversal", "credit"] as const;
export type LedgerKind = (typeof LEDGER_KINDS)[number];

export type LedgerEntry = Readonly<{ account: LedgerAccount; minor: bigint; currency: Currency }>;
export type LedgerTransaction = Readonly<{
  kind: LedgerKind;
  /** What caused it at the provider (the id of an invoice, a refund or a balance's transaction): one transaction for each, ever. */
  reference: string;
  entries: readonly LedgerEntry[];
}> &
  BookedTo;

/** Whose money it is; and what for, if an order led to that. */
export type BookedTo = Readonly<{ accountId: string; orderId: string | null }>;
export const toOrder = ({ id, accountId }: { id: string; accountId: string }): BookedTo => ({
  accountId,
  orderId: id,
});

const move = (m: Money, debit: LedgerAccount, credit: LedgerAccount): readonly LedgerEntry[] => [
  { account: debit, minor: m.minor, currency: m.currency },
  { account: credit, minor: -m.minor, currency: m.currency },
];

/**
 * An invoice is paid: by what was taken for it, and by the customer's credit. `fromCredit` is negative when a debt of the balance
 * was taken with it.
 */
export const paymentReceived = (
  to: BookedTo,
  invoiceId: string,
  by: { paid: Money; fromCredit: Money },
): LedgerTransaction => ({
  kind: "payment",
  reference: invoiceId,
  accountId: to.accountId,
  orderId: to.orderId,
  entries: [
    ...move(by.paid, "stripe_balance", "customer_revenue"),
    ...move(by.fromCredit, "customer_credit", "customer_revenue"),
  ].filter(({ minor }) => minor !== 0n),
});

/**
 * What a change of price comes to is paid on a page before the change is made: it is credit, until the change's invoice takes it. What
 * of it goes back is taken out of credit again.
 */
export const creditPaid = (to: BookedTo, paymentId: string, paid: Money): LedgerTransaction => ({
  kind: "payment",
  reference: paymentId,
  accountId: to.accountId,
  orderId: to.orderId,
  entries: move(paid, "stripe_balance", "customer_credit"),
});

/** Time that was paid for and could not be used becomes credit, which pays the customer's next invoices. */
export const creditGiven = (
  to: BookedTo,
  transactionId: string,
  credit: Money,
): LedgerTransaction => ({
  kind: "credit",
  reference: transactionId,
  accountId: to.accountId,
  orderId: to.orderId,
  entries: move(credit, "customer_revenue", "customer_credit"),
});

/** What a refund costs us, and what is taken out of the customer's credit with it. */
const shares = ({ minor, currency }: Money, fromCredit: bigint) => ({
  cost: { minor: minor - fromCredit, currency },
  credit: { minor: fromCredit, currency },
});

export const refundMade = (
  to: BookedTo,
  refundId: string,
  refunded: Money,
  fromCredit = 0n,
): LedgerTransaction => ({
  kind: "refund",
  reference: refundId,
  accountId: to.accountId,
  orderId: to.orderId,
  entries: [
    ...move(shares(refunded, fromCredit).cost, "customer_refunds", "stripe_balance"),
    ...move(shares(refunded, fromCredit).credit, "customer_credit", "stripe_balance"),
  ].filter(({ minor }) => minor !== 0n),
});

/** The bank sent the refund back: the money is with us again, and owed. */
export const refundReversed = (
  to: BookedTo,
  refundId: string,
  refunded: Money,
  fromCredit = 0n,
): LedgerTransaction => ({
  kind: "refund_reversal",
  reference: refundId,
  accountId: to.accountId,
  orderId: to.orderId,
  entries: [
    ...move(shares(refunded, fromCredit).cost, "stripe_balance", "customer_refunds"),
    ...move(shares(refunded, fromCredit).credit, "stripe_balance", "customer_credit"),
  ].filter(({ minor }) => minor !== 0n),
});
