import type { Result } from "#core/result.ts";
import type { Db, Tx } from "#db/client.ts";
import { inTransaction } from "#db/transaction.ts";

class Undo extends Error {
  override name = "Undo";
}

/**
 * One transaction that leaves nothing behind when it is refused. For work that must take several things or none
 * (a key, a place, an address); elsewhere a refusal commits.
 */
export async function undoOnRefusal<T, E>(
  db: Db,
  work: (tx: Tx) => Promise<Result<T, E>>,
): Promise<Result<T, E>> {
  let refused: Result<T, E> | undefined;
  try {
    return await inTransaction(db, async (tx) => {
      const result = await work(tx);
      if (result.ok) return result;
      refused = result;
      throw new Undo("the transaction was refused");
    });
  } catch (error) {
    if (error instanceof Undo && refused) return refused;
    throw error;
  }
}
