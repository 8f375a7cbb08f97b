import type { z } from "zod";
import type { Counters } from "./answers.ts";

type Row = z.infer<typeof Counters>["vms"][number];
/** `done`: what earlier lives of a layer came to; `last`: what its present one said last. */
type Sum = { done: bigint; last: bigint };
type Layer = { read: Sum; write: Sum };

/**
 * Adds up what the layers of each VM's disk read and wrote since its boot epoch began. Hyper-V counts by file: with a
 * checkpoint, and again with its merge, a VM goes on in another file, the old one's counters vanish, and those of a file
 * that comes back begin at zero. The sums here only grow. They do not outlive the agent: after its restart they may be
 * lower once, and the meter counts nothing for that one sample.
 */
export function createDiskSums() {
  let known = new Map<string, { bootEpoch: string; layers: Map<string, Layer> }>();
  return {
    /** Each row with its sums in the place of its layers. */
    add(rows: readonly Row[]) {
      const before = known;
      known = new Map();
      return rows.map(({ layers, ...row }) => {
        const kept = before.get(row.vmId);
        const sums = kept?.bootEpoch === row.bootEpoch ? kept.layers : new Map<string, Layer>();
        known.set(row.vmId, { bootEpoch: row.bootEpoch, layers: sums });
        for (const { name, read, write } of layers) {
          const layer = sums.get(name);
          sums.set(name, { read: next(layer?.read, read), write: next(layer?.write, write) });
        }
        const all = [...sums.values()];
        return {
          ...row,
          readBytes: all.reduce((sum, { read }) => sum + read.done + read.last, 0n),
          writeBytes: all.reduce((sum, { write }) => sum + write.done + write.last, 0n),
        };
      });
    },
  };
}

function next(before: Sum | undefined, value: bigint): Sum {
  if (before === undefined) return { done: 0n, last: value };
  return { done: before.done + (value < before.last ? before.last : 0n), last: value };
}
