import { desc, eq, isNull } from "drizzle-orm";
import type { DunningPolicy } from "#core/billing/dunning.ts";
import type { Db, Tx } from "#db/client.ts";
import { dunningPolicies } from "#db/schema/billing.ts";

/** Whole but where an account has what everybody has. */
const fromRow = (row: typeof dunningPolicies.$inferSelect): DunningPolicy | undefined =>
  row.suspendDays === null || row.terminateDays === null || row.deleteDays === null
    ? undefined
    : {
        version: row.version,
        suspendDays: row.suspendDays,
        terminateDays: row.terminateDays,
        deleteDays: row.deleteDays,
      };

/** One that a dunning goes by. Throws when it only says that everybody's holds. */
export function policyFromRow(row: typeof dunningPolicies.$inferSelect): DunningPolicy {
  const policy = fromRow(row);
  if (!policy) throw new Error(`dunning policy ${row.version} says nothing`);
  return policy;
}

/** A version. Throws when there is none. */
export async function policyOf(db: Db | Tx, version: number): Promise<DunningPolicy> {
  const [row] = await db.select().from(dunningPolicies).where(eq(dunningPolicies.version, version));
  if (!row) throw new Error(`there is no dunning policy ${version}`);
  return policyFromRow(row);
}

/** What holds for an account: what was agreed with it, or what holds for everybody. */
export async function policyFor(db: Db | Tx, accountId: string): Promise<DunningPolicy> {
  const agreed = await newest(db, accountId);
  return (agreed && fromRow(agreed)) ?? everybodysPolicy(db);
}

const newest = async (db: Db | Tx, accountId: string) => {
  const [row] = await db
    .select()
    .from(dunningPolicies)
    .where(eq(dunningPolicies.accountId, accountId))
    .orderBy(desc(dunningPolicies.version))
    .limit(1);
  return row;
};

/** What holds where nothing else was agreed. */
export async function everybodysPolicy(db: Db | Tx): Promise<DunningPolicy> {
  const [row] = await db
    .select()
    .from(dunningPolicies)
    .where(isNull(dunningPolicies.accountId))
    .orderBy(desc(dunningPolicies.version))
    .limit(1);
  if (!row) throw new Error("no dunning policy holds for everybody");
  return policyFromRow(row);
}

/** Agrees on other days with an account; null: on everybody's again. @returns its version. */
export async function insertPolicy(
  tx: Tx,
  agreed: Readonly<{
    accountId: string;
    days: Omit<DunningPolicy, "version"> | null;
    saidBy: string;
    reason: string;
  }>,
  now: Date,
): Promise<number> {
  const { accountId, days, saidBy, reason } = agreed;
  const [row] = await tx
    .insert(dunningPolicies)
    .values({ accountId, ...days, saidBy, reason, from: now })
    .returning({ version: dunningPolicies.version });
  if (!row) throw new Error("no policy was written");
  return row.version;
}
