import { and, eq, sql } from "drizzle-orm";
import type { LedgerKind, LedgerTransaction } from "#core/billing/ledger.ts";
import type { Tx } from "#db/client.ts";
import { prepared, type Slots } from "#db/prepared.ts";
import { ledgerEntries, ledgerTransactions } from "#db/schema/billing.ts";

/** Posts once for each (kind, reference): a repeat changes nothing. The database checks that it sums to zero. */
export async function post(
  tx: Tx,
  transaction: LedgerTransaction,
  at: { now: Date; newId: () => string },
): Promise<"posted" | "repeat"> {
  const { kind, reference, accountId, orderId, entries } = transaction;
  const rows = await posted(tx, {
    id: at.newId(),
    kind,
    reference,
    accountId,
    orderId,
    now: at.now,
    entryIds: entries.map(() => at.newId()),
    accounts: entries.map((e) => e.account),
    minors: entries.map((e) => e.minor),
    currencies: entries.map((e) => e.currency),
  });
  return rows.length === 0 ? "repeat" : "posted";
}

type Posting = Pick<LedgerTransaction, "kind" | "reference" | "accountId" | "orderId"> & {
  id: string;
  now: Date;
  entryIds: readonly string[];
  accounts: readonly string[];
  minors: readonly bigint[];
  currencies: readonly string[];
};

/** Both tables by one statement: an entry for each when the transaction is a new one, and none when it is not. */
const posted = prepared("posted", (db, at: Slots<Posting>) => {
  const made = db.$with("made").as(
    db
      .insert(ledgerTransactions)
      .values({
        id: at.id,
        kind: at.kind,
        reference: at.reference,
        accountId: at.accountId,
        orderId: at.orderId,
        createdAt: at.now,
      })
      .onConflictDoNothing()
      .returning({ id: ledgerTransactions.id }),
  );
  return db
    .with(made)
    .insert(ledgerEntries)
    .select(
      sql`select n.id, ${made.id}, n.account, n.minor, n.currency from ${made}, unnest(${at.entryIds}::uuid[],
        ${at.accounts}::ledger_account[], ${at.minors}::bigint[], ${at.currencies}::text[]) as n (id, account, minor, currency)`,
    )
    .returning({ id: ledgerEntries.id });
});

export async function isPosted(tx: Tx, kind: LedgerKind, reference: string): Promise<boolean> {
  const rows = await tx
    .select({ id: ledgerTransactions.id })
    .from(ledgerTransactions)
    .where(and(eq(ledgerTransactions.kind, kind), eq(ledgerTransactions.reference, reference)));
  return rows.length > 0;
}
