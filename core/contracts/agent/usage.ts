import { z } from "@hono/zod-openapi";
import { Instant, storable } from "#core/contracts/values.ts";

const ByteCount = z.string().regex(/^\d{1,20}$/);

/** What an integer column holds. */
const MOST_INT = 2 ** 31 - 1;

/** Counters between two instants. `seq` counts up by one within (vmId, bootEpoch). */
export const UsageSample = z
  .object({
    vmId: z.uuid(),
    bootEpoch: z.string().min(1).max(64).transform(storable),
    seq: z.int().nonnegative().max(MOST_INT),
    from: Instant,
    to: Instant,
    cpuNs: ByteCount,
    /** One number for each NIC, in the order of `DesiredVm.nics`. */
    rxBytes: z.array(ByteCount).max(8),
    txBytes: z.array(ByteCount).max(8),
    readBytes: ByteCount,
    writeBytes: ByteCount,
    memoryBytes: ByteCount,
    diskBytes: ByteCount,
  })
  .openapi("UsageSample");
export type UsageSample = z.infer<typeof UsageSample>;

export const UsageBatch = z
  .object({ samples: z.array(UsageSample).min(1).max(1000) })
  .openapi("UsageBatch");
export type UsageBatch = z.infer<typeof UsageBatch>;

/**
 * Every sample of the batch may be forgotten: it is stored now, was stored before, or is refused for good. `nextSeq`
 * comes with `sequence_reused`: an agent that lost its marks goes on from there in this boot of the VM.
 */
export const UsageReceipt = z
  .object({
    stored: z.int(),
    duplicates: z.int(),
    refused: z.array(
      z
        .object({
          index: z.int(),
          code: z.string(),
          detail: z.string(),
          nextSeq: z.int().optional(),
        })
        .openapi("RefusedSample"),
    ),
  })
  .openapi("UsageReceipt");
export type UsageReceipt = z.infer<typeof UsageReceipt>;
