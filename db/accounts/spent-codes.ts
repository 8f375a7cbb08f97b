import { and, eq, lt } from "drizzle-orm";
import type { Db } from "#db/client.ts";
import { spentCodes } from "#db/schema/accounts.ts";
import { takeAttempt } from "./attempts.ts";

/** A code is good for a minute and a half at most: its own 30 seconds, and those before and after. */
const KEPT_MS = 5 * 60_000;

/**
 * Remembers that this account has used this code. Of two that bring the same one at once, one is the first. A code that an
 * account used before comes again by chance once in a hundred thousand minutes; then the next one is good.
 */
export async function spendCode(
  db: Db,
  accountId: string,
  code: string,
  now: Date,
): Promise<"first" | "again" | "too_many"> {
  const ofAccount = eq(spentCodes.accountId, accountId);
  await db
    .delete(spentCodes)
    .where(and(ofAccount, lt(spentCodes.spentAt, new Date(+now - KEPT_MS))));
  if ((await takeAttempt(db, "code", accountId, now)) !== undefined) return "too_many";
  const mine = await db
    .insert(spentCodes)
    .values({ accountId, code, spentAt: now })
    .onConflictDoNothing()
    .returning({ code: spentCodes.code });
  return mine.length === 1 ? "first" : "again";
}
