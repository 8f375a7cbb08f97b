import { and, eq } from "drizzle-orm";
import type { LedgerKind, LedgerTransaction } from "#core/billing/ledger.ts";
import type { Tx } from "#db/client.ts";
import { ledgerEntries, ledgerTransactions } from "#db/schema/billing.ts";

/** Posts once for each (kind, reference): a repeat changes nothing. The database checks that it sums to zero. */
export async function post(
  tx: Tx,
  transaction: LedgerTransaction,
  at: { now: Date; newId: () => string },
): Promise<"posted" | "repeat"> {
  const id = at.newId();
  const rows = await tx
    .insert(ledgerTransactions)
    .values({
      id,
      kind: transaction.kind,
      reference: transaction.reference,
      orderId: transaction.orderId,
      createdAt: at.now,
    })
    .onConflictDoNothing()
    .returning({ id: ledgerTransactions.id });
  if (rows.length === 0) return "repeat";
  await tx.insert(ledgerEntries).values(
    transaction.entries.map((e) => ({
      id: at.newId(),
      transactionId: id,
      account: e.account,
      amountMinor: e.minor,
      currency: e.currency,
    })),
  );
  return "posted";
}

export async function isPosted(tx: Tx, kind: LedgerKind, reference: string): Promise<boolean> {
  const rows = await tx
    .select({ id: ledgerTransactions.id })
    .from(ledgerTransactions)
    .where(and(eq(ledgerTransactions.kind, kind), eq(ledgerTransactions.reference, reference)));
  return rows.length > 0;
}
