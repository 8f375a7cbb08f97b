import type { UsageBatch, UsageReceipt } from "#core/contracts/agent/usage.ts";
import { takeSamples } from "#core/usage/take-samples.ts";
import { loadMeters } from "#db/usage/meters.ts";
import { storeSamples } from "#db/usage/samples.ts";
import type { Deps } from "#commands/deps.ts";

/** Each time, another batch of the same VMs was stored: an agent sends one after another. */
const MOST_TRIES = 20;

/**
 * Stores a batch of samples, each exactly once: a batch that is sent twice counts once. A sample of a VM that is
 * not this host's, or that cannot be true, is refused for good; the agent forgets it, and it is logged. However many
 * samples it has, a batch is judged in memory and stored by one statement, which makes nobody wait but batches of its VMs.
 */
export async function recordUsage(
  deps: Pick<Deps, "db" | "clock" | "log" | "metrics">,
  hostId: string,
  batch: UsageBatch,
): Promise<UsageReceipt> {
  const receipt = await storeBatch(deps, hostId, batch);
  if (receipt.stored > 0) {
    const oldest = Math.min(...batch.samples.map((sample) => Date.parse(sample.to)));
    const seconds = Math.max(0, (+deps.clock.now() - oldest) / 1000);
    deps.metrics.observe("berth_usage_delay_seconds", {}, seconds);
  }
  if (receipt.refused.length > 0)
    deps.log.error("record_usage.refused", {
      host_id: hostId,
      count: receipt.refused.length,
      codes: [...new Set(receipt.refused.map((r) => r.code))],
    });
  return receipt;
}

async function storeBatch(
  deps: Pick<Deps, "db" | "clock">,
  hostId: string,
  { samples }: UsageBatch,
): Promise<UsageReceipt> {
  for (let tries = 1; tries <= MOST_TRIES; tries++) {
    const now = deps.clock.now();
    const meters = await loadMeters(deps.db, hostId, samples);
    const taken = takeSamples(samples, meters, now);
    if (taken.samples.length === 0 || (await storeSamples(deps.db, meters, taken, now)))
      return taken.receipt;
  }
  throw new Error(`other batches of host ${hostId} came between ${MOST_TRIES} times`);
}
