import { KEPT_MS, type Kept } from "#core/retention.ts";
import { forgetUnusedKinds } from "#db/hosts/kinds.ts";
import { deleteOld } from "#db/purge.ts";
import { inTransaction } from "#db/transaction.ts";
import type { Deps } from "./deps.ts";

/** Rows that one statement deletes: some hundredths of a second. */
const BATCH = 2000;
/** Of each table in one sweep: with a sweep a minute, 330 rows a second. The next one goes on. */
const MOST_BATCHES = 10;

/**
 * Deletes what is past its time (`KEPT_MS`), in batches that each commit by themselves, and kinds of hosts that no host is of.
 *
 * @returns how many rows went, by what they were.
 */
export async function purgeOldRows(
  deps: Pick<Deps, "db" | "clock">,
): Promise<Record<Kept | "hostKinds", number>> {
  const now = deps.clock.now();
  const purge = async (what: Kept): Promise<number> => {
    const before = new Date(+now - KEPT_MS[what]);
    let gone = 0;
    for (let batches = 0; batches < MOST_BATCHES; batches++) {
      const deleted = await deleteOld(deps.db, what, { before, limit: BATCH });
      gone += deleted;
      if (deleted < BATCH) break;
    }
    return gone;
  };
  return {
    appliedDeliveries: await purge("appliedDeliveries"),
    sentEvents: await purge("sentEvents"),
    mails: await purge("mails"),
    refusingAddresses: await purge("refusingAddresses"),
    answers: await purge("answers"),
    sessions: await purge("sessions"),
    verifications: await purge("verifications"),
    spentCodes: await purge("spentCodes"),
    attempts: await purge("attempts"),
    knownNetworks: await purge("knownNetworks"),
    quotes: await purge("quotes"),
    rateLimits: await purge("rateLimits"),
    hostKinds: await inTransaction(deps.db, (tx) => forgetUnusedKinds(tx, BATCH)),
  };
}
