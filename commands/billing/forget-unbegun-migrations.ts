import { forgetSome, unbegunBefore } from "#db/billing/plan-migrations.ts";
import { inTransaction } from "#db/transaction.ts";
import type { Deps } from "#commands/deps.ts";

/** Longer than a dry run may be begun: while somebody may still look at what it said. */
const KEPT_MS = 7 * 24 * 60 * 60_000;
const BATCH = 500;
/** In one sweep; the next one goes on. */
const MOST_BATCHES = 20;

/** Deletes dry runs that nobody began, in batches that each commit by themselves. Runs every minute. */
export async function forgetUnbegunMigrations(
  deps: Pick<Deps, "db" | "clock">,
): Promise<{ forgotten: number }> {
  const before = new Date(+deps.clock.now() - KEPT_MS);
  let forgotten = 0;
  for (let batches = 0; batches < MOST_BATCHES; batches++) {
    const id = await unbegunBefore(deps.db, before);
    if (id === undefined) break;
    if (await inTransaction(deps.db, (tx) => forgetSome(tx, id, BATCH))) forgotten++;
  }
  return { forgotten };
}
