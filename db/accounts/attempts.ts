import { createHash } from "node:crypto";
import { and, count, eq, lte, sql } from "drizzle-orm";
import { fullFrom, LIMITS, type LimitName } from "#core/accounts/attempts.ts";
import type { Db, Tx } from "#db/client.ts";
import { accounts, attempts, knownNetworks } from "#db/schema/accounts.ts";

/** What is counted stands nowhere in clear. */
const hashOf = (text: string): string => createHash("sha256").update(text).digest("base64url");

/**
 * Takes an attempt from the bucket of what is counted: one statement, so that of any number at once no more are taken than the
 * limit allows. @returns when the bucket runs out, where it was full; undefined when the attempt was taken.
 */
export async function takeAttempt(
  db: Db | Tx,
  limit: LimitName,
  counted: string,
  now: Date,
): Promise<Date | undefined> {
  const of = hashOf(counted);
  const { everyMs } = LIMITS[limit];
  const taken = await db
    .insert(attempts)
    .values({ limit, of, runsOutAt: new Date(+now + everyMs) })
    .onConflictDoUpdate({
      target: [attempts.limit, attempts.of],
      set: {
        runsOutAt: sql`greatest(${attempts.runsOutAt}, ${now.toISOString()}::timestamptz) + make_interval(secs => ${everyMs / 1000})`,
      },
      setWhere: lte(attempts.runsOutAt, fullFrom(limit, now)),
    })
    .returning({ of: attempts.of });
  if (taken.length > 0) return undefined;
  const [full] = await db
    .select()
    .from(attempts)
    .where(and(eq(attempts.limit, limit), eq(attempts.of, of)));
  // Swept away since then: it had run out.
  return full?.runsOutAt ?? now;
}

/** Whether the account with this address was logged in from the network before. */
export async function isKnownNetwork(db: Db, email: string, network: string): Promise<boolean> {
  const rows = await db
    .select({ network: knownNetworks.network })
    .from(knownNetworks)
    .innerJoin(accounts, eq(accounts.id, knownNetworks.accountId))
    .where(and(eq(accounts.email, email), eq(knownNetworks.network, hashOf(network))));
  return rows.length > 0;
}

/**
 * Remembers that the account with this address, if there is one, was logged in from the network. @returns the account, and what was
 * known of it before.
 */
export async function noteNetwork(
  tx: Tx,
  email: string,
  network: string,
  seenAt: Date,
): Promise<Readonly<{ accountId: string; known: number; isKnown: boolean }> | undefined> {
  const [account] = await tx
    .select({ id: accounts.id })
    .from(accounts)
    .where(eq(accounts.email, email));
  if (account === undefined) return undefined;
  const hash = hashOf(network);
  const [before] = await tx
    .select({
      known: count(),
      isKnown: sql<boolean>`coalesce(bool_or(${knownNetworks.network} = ${hash}), false)`,
    })
    .from(knownNetworks)
    .where(eq(knownNetworks.accountId, account.id));
  await tx
    .insert(knownNetworks)
    .values({ accountId: account.id, network: hash, seenAt })
    .onConflictDoUpdate({
      target: [knownNetworks.accountId, knownNetworks.network],
      set: { seenAt },
    });
  return { accountId: account.id, ...(before ?? { known: 0, isKnown: false }) };
}
