import { sqlStateOf } from "./transaction.ts";

/** A statement of a transaction that an earlier one has broken (in_failed_sql_transaction). */
const BROKEN_BEFORE = "25P02";

/**
 * Statements, of one transaction or of none, that need nothing of each other's answers: they go out together, in this order, and one
 * is on its way while the next is written. Ends when all have ended. Of those that failed the one is told that
 * the others failed for.
 */
export async function together<T extends readonly Promise<unknown>[]>(
  statements: readonly [...T],
): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
  const ended = await Promise.allSettled(statements);
  const errors = ended.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
  if (errors.length > 0) throw errors.find((e) => sqlStateOf(e) !== BROKEN_BEFORE) ?? errors[0];
  // Not one of them failed: this waits for nothing.
  return Promise.all(statements);
}
