import { desc, lte } from "drizzle-orm";
import type { EndingPolicy } from "#core/billing/settle-asked.ts";
import type { Db, Tx } from "#db/client.ts";
import { endingPolicies } from "#db/schema/billing.ts";

/** What holds for what ends at that instant. The first version, which the migration wrote, holds from the beginning. */
export async function endingPolicyAt(db: Db | Tx, at: Date): Promise<EndingPolicy> {
  const [row] = await db
    .select()
    .from(endingPolicies)
    .where(lte(endingPolicies.from, at))
    .orderBy(desc(endingPolicies.from))
    .limit(1);
  if (!row) throw new Error(`no policy holds for what ends at ${at.toISOString()}`);
  return row;
}
