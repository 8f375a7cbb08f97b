import type { UsageSample } from "#core/contracts/agent/usage.ts";
import type { Log } from "#core/ports.ts";
import {
  ControlPlaneError,
  IdentityRevoked,
  type ControlPlane,
} from "#host-agent/channel/control-plane.ts";
import type { Left, Spool } from "./spool.ts";

/** So many halvings find one bad sample among a thousand. */
export const SPLITS_TO_ONE = 10;
/** A flush may halve so many batches. */
export const SPLITS_A_FLUSH = 4 * SPLITS_TO_ONE;

/** One flush: what it may still halve, and how many samples the control plane has taken in it. */
export type Flush = { splits: number; taken: number };
export const beginFlush = (splits = SPLITS_A_FLUSH): Flush => ({ splits, taken: 0 });

/**
 * Sends samples. A batch that is refused as a whole (400, 413, 422) is halved until what is refused stands alone: no refusal
 * costs another sample. Throws what any other failure throws; what is sent again then is known as a double.
 * @returns the samples that are refused alone, and those that the flush had no halving left to ask about.
 */
export async function sendSamples(
  ports: { controlPlane: ControlPlane; spool: Spool; log: Log; signal: AbortSignal },
  samples: readonly UsageSample[],
  flush: Flush,
): Promise<Left> {
  const { controlPlane, spool, log, signal } = ports;
  const [only] = samples;
  if (only === undefined) return { refused: [], waiting: [] };
  try {
    const receipt = await controlPlane.sendUsage({ samples: [...samples] }, signal);
    for (const refusal of receipt.refused) {
      const sample = samples[refusal.index];
      log.error("usage_sample_refused", { ...refusal, vm_id: sample?.vmId });
      if (sample && refusal.nextSeq !== undefined) spool.goOnFrom(sample, refusal.nextSeq);
    }
    flush.taken += samples.length;
    return { refused: [], waiting: [] };
  } catch (error) {
    const final = error instanceof ControlPlaneError && error.isFinal;
    if (!final || error instanceof IdentityRevoked) throw error;
    if (samples.length === 1) {
      const { vmId, from, to } = only;
      log.error("usage_sample_not_taken", { vm_id: vmId, from, to, error: String(error) });
      return { refused: samples, waiting: [] };
    }
    if (flush.splits === 0) return { refused: [], waiting: samples };
  }
  flush.splits -= 1;
  const middle = Math.ceil(samples.length / 2);
  const first = await sendSamples(ports, samples.slice(0, middle), flush);
  const second = await sendSamples(ports, samples.slice(middle), flush);
  return {
    refused: [...first.refused, ...second.refused],
    waiting: [...first.waiting, ...second.waiting],
  };
}
