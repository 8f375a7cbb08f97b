import { lt } from "drizzle-orm";
import type { Db } from "#db/client.ts";
import { spentAgentTokens } from "#db/schema/hosts.ts";

/** Remembers that the host's token was used. Of two that bring the same one at once, one is the first. */
export async function spendAgentToken(
  db: Db,
  token: { hostId: string; jti: string; expiresAt: Date },
): Promise<"first" | "again"> {
  const mine = await db
    .insert(spentAgentTokens)
    .values(token)
    .onConflictDoNothing()
    .returning({ jti: spentAgentTokens.jti });
  return mine.length === 1 ? "first" : "again";
}

/** What had expired by then is worth nothing however often it is sent. @returns how many there were. */
export async function forgetAgentTokens(db: Db, expiredBy: Date): Promise<number> {
  const gone = await db
    .delete(spentAgentTokens)
    .where(lt(spentAgentTokens.expiresAt, expiredBy))
    .returning({ jti: spentAgentTokens.jti });
  return gone.length;
}
