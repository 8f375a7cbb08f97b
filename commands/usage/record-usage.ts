import type { UsageBatch, UsageReceipt } from "#core/contracts/agent/usage.ts";
import { takeSamples } from "#core/usage/take-samples.ts";
import { inTransaction } from "#db/transaction.ts";
import { lockMeters } from "#db/usage/meters.ts";
import { storeSamples } from "#db/usage/samples.ts";
import type { Deps } from "#commands/deps.ts";

/**
 * Stores a batch of samples, each exactly once: a batch that is sent twice counts once. A sample of a VM that is
 * not this host's, or that cannot be true, is refused for good; the agent forgets it, and it is logged. However many
 * samples it has, a batch is judged in memory and stored by one statement, and makes nobody wait but batches of its VMs.
 */
export async function recordUsage(
  deps: Pick<Deps, "db" | "clock" | "log">,
  hostId: string,
  batch: UsageBatch,
): Promise<UsageReceipt> {
  const now = deps.clock.now();
  const receipt = await inTransaction(deps.db, async (tx) => {
    const meters = await lockMeters(tx, hostId, batch.samples);
    const taken = takeSamples(batch.samples, meters, now);
    if (taken.samples.length > 0) await storeSamples(tx, taken.samples, taken.meters, now);
    return taken.receipt;
  });
  if (receipt.refused.length > 0)
    deps.log.error("record_usage.refused", {
      host_id: hostId,
      count: receipt.refused.length,
      codes: [...new Set(receipt.refused.map((r) => r.code))],
    });
  return receipt;
}
