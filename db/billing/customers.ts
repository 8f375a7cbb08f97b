import { eq } from "drizzle-orm";
import type { Db } from "#db/client.ts";
import { billingCustomers } from "#db/schema/billing.ts";

export async function billingCustomerOf(db: Db, accountId: string): Promise<string | undefined> {
  const [row] = await db
    .select()
    .from(billingCustomers)
    .where(eq(billingCustomers.accountId, accountId));
  return row?.customerId;
}

/**
 * Writes down the provider's customer of an account, unless there is one: of two that were made at once the first
 * stays. Returns that one.
 */
export async function keepBillingCustomer(
  db: Db,
  accountId: string,
  customerId: string,
): Promise<string> {
  await db.insert(billingCustomers).values({ accountId, customerId }).onConflictDoNothing();
  const kept = await billingCustomerOf(db, accountId);
  if (kept === undefined) throw new Error(`account ${accountId} lost its customer`);
  return kept;
}
