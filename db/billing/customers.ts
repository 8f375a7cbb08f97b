import { and, asc, eq, isNotNull, isNull, lt, sql } from "drizzle-orm";
import type { Currency } from "#core/money.ts";
import type { Db, Tx } from "#db/client.ts";
import { currencyFromRow } from "#db/currency-from-row.ts";
import { accounts } from "#db/schema/accounts.ts";
import { billingCustomers } from "#db/schema/billing.ts";

type Payer = Readonly<{ accountId: string; currency: Currency }>;
const isOf = ({ accountId, currency }: Payer) =>
  and(eq(billingCustomers.accountId, accountId), eq(billingCustomers.currency, currency));

/** The provider's customer of an account for a currency; null while there is none. `attempt` counts those made, from 1. */
export async function billingCustomerOf(
  db: Db,
  payer: Payer,
): Promise<{ customerId: string | null; attempt: number }> {
  const [row] = await db.select().from(billingCustomers).where(isOf(payer));
  return { customerId: row?.customerId ?? null, attempt: row?.attempt ?? 1 };
}

/**
 * Writes down the customer, unless there is one: of two that were made at once the first stays. Returns that one. Made under an
 * address that the account has no more, its new one falls due.
 */
export async function keepBillingCustomer(
  db: Db,
  payer: Payer,
  made: { customerId: string; email: string; now: Date },
): Promise<string> {
  const { accountId, currency } = payer;
  const { customerId, email, now } = made;
  const addressDueSince = sql<Date>`(select ${now.toISOString()}::timestamptz from ${accounts}
    where ${accounts.id} = ${accountId} and ${accounts.email} <> ${email})`;
  // Whichever index meets it first: of those who bring the same customer at once, one may meet it as a customer that is known.
  await db
    .insert(billingCustomers)
    .values({ accountId, currency, customerId, addressDueSince })
    .onConflictDoNothing();
  await db
    .update(billingCustomers)
    .set({ customerId, addressDueSince })
    .where(and(isOf(payer), isNull(billingCustomers.customerId)));
  const kept = await billingCustomerOf(db, payer);
  if (kept.customerId === null) throw new Error(`account ${accountId} lost its customer`);
  return kept.customerId;
}

/** This customer was deleted at the provider: the next one is another. Does nothing when another took its place already. */
export async function forgetBillingCustomer(
  db: Db,
  payer: Payer,
  customerId: string,
): Promise<void> {
  await db
    .update(billingCustomers)
    .set({ customerId: null, cardId: null, attempt: sql`${billingCustomers.attempt} + 1` })
    .where(and(isOf(payer), eq(billingCustomers.customerId, customerId)));
}

/** The currencies in which the account has, or had, a customer at the provider. */
export async function currenciesOfCustomers(
  db: Db | Tx,
  accountId: string,
): Promise<readonly Currency[]> {
  const rows = await db
    .select({ currency: billingCustomers.currency })
    .from(billingCustomers)
    .where(eq(billingCustomers.accountId, accountId))
    .orderBy(asc(billingCustomers.currency));
  return rows.map(({ currency }) => currencyFromRow(currency));
}

/** Whose customer it is, and which card was theirs when we last looked; undefined: nobody's of ours. */
export async function holderOf(
  db: Db,
  customerId: string,
): Promise<{ accountId: string; cardId: string | null } | undefined> {
  const [row] = await db
    .select({ accountId: billingCustomers.accountId, cardId: billingCustomers.cardId })
    .from(billingCustomers)
    .where(eq(billingCustomers.customerId, customerId));
  return row;
}

/** Which card is theirs now, and what was held until now; undefined: the customer is nobody's of ours any more. */
export async function keepCard(
  tx: Tx,
  customerId: string,
  cardId: string | null,
): Promise<{ accountId: string; cardId: string | null } | undefined> {
  const [held] = await tx
    .select({ accountId: billingCustomers.accountId, cardId: billingCustomers.cardId })
    .from(billingCustomers)
    .where(eq(billingCustomers.customerId, customerId))
    .for("update");
  if (held !== undefined && held.cardId !== cardId)
    await tx
      .update(billingCustomers)
      .set({ cardId })
      .where(eq(billingCustomers.customerId, customerId));
  return held;
}

/** Whether the provider's customer is one of ours. */
export async function isCustomer(db: Db, customerId: string): Promise<boolean> {
  const [row] = await db
    .select({ accountId: billingCustomers.accountId })
    .from(billingCustomers)
    .where(eq(billingCustomers.customerId, customerId));
  return row !== undefined;
}

/** The provider is to be told of the account's new e-mail address, for each customer that it has there. */
export async function letAddressFallDue(tx: Tx, accountId: string, now: Date): Promise<void> {
  await tx
    .update(billingCustomers)
    .set({ addressDueSince: now })
    .where(and(eq(billingCustomers.accountId, accountId), isNotNull(billingCustomers.customerId)));
}

/** The account's customers that the provider knows by an address of before, with since when, and the address of now. */
export async function addressesDue(
  db: Db,
  accountId: string,
): Promise<readonly { customerId: string; email: string; since: Date }[]> {
  const rows = await db
    .select({
      customerId: billingCustomers.customerId,
      email: accounts.email,
      since: billingCustomers.addressDueSince,
    })
    .from(billingCustomers)
    .innerJoin(accounts, eq(accounts.id, billingCustomers.accountId))
    .where(
      and(eq(billingCustomers.accountId, accountId), isNotNull(billingCustomers.addressDueSince)),
    )
    .orderBy(asc(billingCustomers.currency));
  return rows.flatMap(({ customerId, email, since }) =>
    customerId === null || since === null ? [] : [{ customerId, email, since }],
  );
}

/** The provider was told of the address that fell due then; one that fell due later stays so. @returns the account's address now. */
export async function noteAddressTold(
  db: Db,
  told: { accountId: string; customerId: string; since: Date },
): Promise<string> {
  await db
    .update(billingCustomers)
    .set({ addressDueSince: null })
    .where(
      and(
        eq(billingCustomers.customerId, told.customerId),
        eq(billingCustomers.addressDueSince, told.since),
      ),
    );
  const [row] = await db
    .select({ email: accounts.email })
    .from(accounts)
    .where(eq(accounts.id, told.accountId));
  if (row === undefined) throw new Error(`account ${told.accountId} vanished`);
  return row.email;
}

/** What could not be told of it falls due anew. */
export async function putOffAddress(db: Db, accountId: string, now: Date): Promise<void> {
  await db
    .update(billingCustomers)
    .set({ addressDueSince: now })
    .where(
      and(eq(billingCustomers.accountId, accountId), isNotNull(billingCustomers.addressDueSince)),
    );
}

/** Whose address fell due before then, those first that wait longest. */
export async function customersWithAddressDue(
  db: Db,
  before: Date,
  limit: number,
): Promise<readonly string[]> {
  const rows = await db
    .select({ accountId: billingCustomers.accountId })
    .from(billingCustomers)
    .where(lt(billingCustomers.addressDueSince, before))
    .orderBy(asc(billingCustomers.addressDueSince))
    .limit(limit);
  return [...new Set(rows.map(({ accountId }) => accountId))];
}
