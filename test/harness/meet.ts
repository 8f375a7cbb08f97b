import type { Tx } from "#db/client.ts";
import { inTransaction } from "#db/transaction.ts";
import type { ControlPlane } from "./control-plane.ts";

/**
 * Two that work on the same rows, always in this order: `first` does its work and commits only when `second`, which began
 * after it, waits for a lock or has ended.
 *
 * @returns whether the second had to wait, and what came of it.
 */
export async function meet<T>(
  cp: ControlPlane,
  first: (tx: Tx) => Promise<unknown>,
  second: () => Promise<T>,
): Promise<{ waited: boolean; value: T }> {
  let later: Promise<T> | undefined;
  let waited = false;
  await inTransaction(cp.deps.db, async (tx) => {
    await first(tx);
    later = second();
    // It is awaited below, after the commit.
    const ended = later.then(
      () => true,
      () => true,
    );
    for (let over = false; !over && !waited;) {
      waited = await somebodyWaits(cp);
      over = await Promise.race([ended, Promise.resolve(false)]);
    }
  });
  if (later === undefined) throw new Error("the first one's transaction did nothing");
  return { waited, value: await later };
}

async function somebodyWaits(cp: ControlPlane): Promise<boolean> {
  const rows = await cp.rows(
    "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return rows.length > 0;
}
