import { and, eq, isNull } from "drizzle-orm";
import { z } from "zod";
import { QUOTED_LINES, type Bought, type Quote, type QuotedLine } from "#core/billing/quote.ts";
import { MoneyView, toMoneyView, type Money } from "#core/money.ts";
import { BILLING_INTERVALS } from "#core/orders/order.ts";
import { VmSize } from "#core/vms/vm.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { resizeQuotes } from "#db/schema/billing.ts";

const StoredMoney = MoneyView.transform(({ minor, currency }) => ({
  minor: BigInt(minor),
  currency,
}));
const StoredInstant = z.iso.datetime().transform((at) => new Date(at));
const StoredBought = z.object({
  planId: z.uuid(),
  planVersion: z.int(),
  price: z.object({ interval: z.enum(BILLING_INTERVALS), amount: StoredMoney }).nullable(),
  priceKept: z.boolean().optional(),
  machine: z.object({
    ...VmSize.shape,
    bandwidthMbit: z.int().nullable(),
    diskIops: z.int().nullable(),
  }),
});
/** What of a quote is looked at whole, as its one column has it. */
const StoredOffer = z.object({
  from: StoredBought,
  to: StoredBought,
  lines: z.array(
    z.object({
      kind: z.enum(QUOTED_LINES),
      amount: StoredMoney,
      from: StoredInstant,
      until: StoredInstant,
      credits: z.string().nullable(),
    }),
  ),
  differsBy: StoredMoney.nullable(),
});

const boughtToRow = (bought: Bought) => ({
  ...bought,
  price: bought.price && { ...bought.price, amount: toMoneyView(bought.price.amount) },
});
const lineToRow = (line: QuotedLine) => ({
  ...line,
  amount: toMoneyView(line.amount),
  from: line.from.toISOString(),
  until: line.until.toISOString(),
});

/** Keeps a quote, and gives back the one that is kept: of two of one id that race, the first. */
export async function insertQuote(tx: Db | Tx, quote: Quote): Promise<Quote> {
  const { from, to, lines, differsBy, dueNow, credit, tax, ...row } = quote;
  const values = {
    ...row,
    offered: {
      from: boughtToRow(from),
      to: boughtToRow(to),
      lines: lines.map(lineToRow),
      differsBy: differsBy && toMoneyView(differsBy),
    },
    dueNowMinor: dueNow?.minor ?? null,
    creditMinor: credit?.minor ?? null,
    taxMinor: tax?.minor ?? null,
    currency: dueNow?.currency ?? null,
  };
  const [kept] = await tx.insert(resizeQuotes).values(values).onConflictDoNothing().returning();
  if (kept) return quoteFromRow(kept);
  const first = await loadQuote(tx, quote.id);
  if (!first) throw new Error(`quote ${quote.id} vanished`);
  return first;
}

export function quoteFromRow(row: typeof resizeQuotes.$inferSelect): Quote {
  const money = (minor: bigint | null): Money | null =>
    minor === null || row.currency === null
      ? null
      : { minor, currency: currencyFromRow(row.currency) };
  return {
    id: row.id,
    vmId: row.vmId,
    askedBy: row.askedBy,
    ...StoredOffer.parse(row.offered),
    when: row.when,
    billing: row.billing,
    order: row.order,
    paysBy: row.paysBy,
    method: row.method,
    downSeconds: row.downSeconds,
    dueNow: money(row.dueNowMinor),
    credit: money(row.creditMinor),
    tax: money(row.taxMinor),
    at: row.at,
    appliesAt: row.appliesAt,
    basis: row.basis,
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
  };
}

export async function loadQuote(db: Db | Tx, id: string): Promise<Quote | undefined> {
  const [row] = await db.select().from(resizeQuotes).where(eq(resizeQuotes.id, id));
  return row && quoteFromRow(row);
}

/**
 * The action takes the quote, at most once, and holds it until the transaction ends: undefined where there is none, or another action has it. Whose it is, whether it
 * ran out, and whether its basis still holds is the caller's to judge, and its transaction's to undo. The action's row may be
 * written after it.
 */
export async function takeQuote(
  tx: Tx,
  id: string,
  by: { actionId: string; now: Date },
): Promise<Quote | undefined> {
  const [row] = await tx
    .update(resizeQuotes)
    .set({ takenBy: by.actionId, takenAt: by.now })
    .where(and(eq(resizeQuotes.id, id), isNull(resizeQuotes.takenBy)))
    .returning();
  return row && quoteFromRow(row);
}
