import { desc, eq } from "drizzle-orm";
import type { TrialPolicy } from "#core/catalogue/trial-policy.ts";
import type { Db, Tx } from "#db/client.ts";
import { trialPolicies } from "#db/schema/catalogue.ts";

/** undefined: the row says that nothing may be tried. Its columns are null together, which Postgres sees to. */
const fromRow = (row: typeof trialPolicies.$inferSelect): TrialPolicy | undefined => {
  const { version, days, endsIn, suspendDays, noticeDays, mostAtOnce, planIds } = row;
  if (days === null || endsIn === null || suspendDays === null) return undefined;
  if (noticeDays === null || mostAtOnce === null) return undefined;
  return { version, days, endsIn, suspendDays, noticeDays, mostAtOnce, planIds };
};

/** On which terms VMs may be tried now; undefined: on none. */
export async function trialPolicyNow(db: Db | Tx): Promise<TrialPolicy | undefined> {
  const [row] = await db.select().from(trialPolicies).orderBy(desc(trialPolicies.version)).limit(1);
  return row && fromRow(row);
}

/** The terms that something began by. Throws when there are none of that version. */
export async function trialPolicyOf(db: Db | Tx, version: number): Promise<TrialPolicy> {
  const [row] = await db.select().from(trialPolicies).where(eq(trialPolicies.version, version));
  const policy = row && fromRow(row);
  if (!policy) throw new Error(`there are no terms ${version} of trials`);
  return policy;
}

/** Other terms from now on; null: none. @returns their version. */
export async function insertTrialPolicy(
  tx: Tx,
  terms: Omit<TrialPolicy, "version"> | null,
  by: Readonly<{ saidBy: string; reason: string; from: Date }>,
): Promise<number> {
  const planIds = terms?.planIds ?? null;
  const [row] = await tx
    .insert(trialPolicies)
    .values({ ...terms, ...by, planIds: planIds && [...planIds] })
    .returning({ version: trialPolicies.version });
  if (!row) throw new Error("no terms of trials were written");
  return row.version;
}
