import { is } from "drizzle-orm";
import { PgTransaction } from "drizzle-orm/pg-core";
import type { Db, Tx } from "./client.ts";

/** Serialisation failure, deadlock: Postgres asks for the whole transaction again (SQLSTATE class 40). */
const TRY_AGAIN = new Set(["40001", "40P01"]);
const MAX_TRIES = 5;

export function sqlStateOf(error: unknown): string | undefined {
  for (let e: unknown = error; e instanceof Error; e = e.cause)
    if ("code" in e && typeof e.code === "string" && /^[0-9A-Z]{5}$/.test(e.code)) return e.code;
  return undefined;
}

/** True when the error is a broken unique or exclusion constraint of this name. */
export function violates(error: unknown, constraint: string): boolean {
  for (let e: unknown = error; e instanceof Error; e = e.cause)
    if ("constraint" in e && e.constraint === constraint) return true;
  return false;
}

/**
 * One transaction, tried again when Postgres asks for it. `work` makes no call to the outside. Inside another one it is a
 * savepoint, and not tried again by itself: Postgres has given up the whole, which the outermost tries again.
 */
export async function inTransaction<T>(
  db: Db,
  work: (tx: Tx) => Promise<T>,
  config?: Parameters<Db["transaction"]>[1],
): Promise<T> {
  const mostTries = is(db, PgTransaction) ? 1 : MAX_TRIES;
  for (let tries = 1; ; tries++) {
    try {
      return await db.transaction(work, config);
    } catch (error) {
      const state = sqlStateOf(error);
      if (tries >= mostTries || state === undefined || !TRY_AGAIN.has(state)) throw error;
    }
  }
}
