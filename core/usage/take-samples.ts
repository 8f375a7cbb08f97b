import type { UsageReceipt, UsageSample } from "#core/contracts/agent/usage.ts";
import {
  judgeSample,
  limitsOf,
  type JudgedSample,
  type Limits,
  type MeteredVm,
  type Spare,
} from "#core/usage/judge-sample.ts";
import { addSpan, covers, endOf, overlaps, type Span, type Spans } from "#core/usage/spans.ts";

/** What is stored of a VM: of when, which numbers of each boot, and what of the slack is left. */
export type Meter = Readonly<{
  vmId: string;
  vm: MeteredVm;
  /** In milliseconds. */
  measured: Spans;
  spare: Spare | null;
  /** By boot epoch: the last one, and those that the batch speaks of. */
  boots: ReadonlyMap<string, MeteredBoot>;
}>;
export type MeteredBoot = Readonly<{ seqs: Spans; endsAt: Date }>;

export type TakenSample = JudgedSample & Readonly<{ vmId: string; bootEpoch: string; seq: number }>;

/** What a batch comes to: what is to be stored, and the meters that it moved on. */
export type Taken = Readonly<{
  samples: readonly TakenSample[];
  meters: readonly Meter[];
  receipt: UsageReceipt;
}>;

type Outcome =
  | { is: "stored"; sample: TakenSample; meter: Meter }
  | { is: "duplicate" }
  | { is: "refused"; code: string; nextSeq?: number };

/**
 * Decides what becomes of each sample of a batch, in the batch's order. `meters` are those of the host's own VMs, by
 * their ids. A sample is
 * - a duplicate when its number is stored of its boot, and its time of the VM;
 * - `sequence_reused` when its number is stored, and its time is not: its agent has lost its marks;
 * - `overlaps` when its number is new, and of its time something is stored;
 * - stored in every other case, in whatever order it comes: what was refused lies aside on its host and may come late.
 */
export function takeSamples(
  batch: readonly UsageSample[],
  meters: ReadonlyMap<string, Meter>,
  now: Date,
): Taken {
  const moved = new Map<string, Meter>();
  const limits = new Map<string, Limits>();
  const samples: TakenSample[] = [];
  const receipt: UsageReceipt = { stored: 0, duplicates: 0, refused: [] };
  for (const [index, sample] of batch.entries()) {
    const meter = moved.get(sample.vmId) ?? meters.get(sample.vmId);
    if (meter === undefined) {
      const detail = "this host does not own the VM";
      receipt.refused.push({ index, code: "vm_not_here", detail });
      continue;
    }
    const most = limits.get(meter.vmId) ?? limitsOf(meter.vm);
    limits.set(meter.vmId, most);
    const outcome = takeSample(sample, meter, most, now);
    if (outcome.is === "stored") {
      samples.push(outcome.sample);
      moved.set(sample.vmId, outcome.meter);
      receipt.stored++;
    } else if (outcome.is === "duplicate") receipt.duplicates++;
    else {
      const { is: _, ...refused } = outcome;
      receipt.refused.push({ index, detail: `${sample.from} to ${sample.to}`, ...refused });
    }
  }
  return { samples, meters: [...moved.values()], receipt };
}

function takeSample(sample: UsageSample, meter: Meter, limits: Limits, now: Date): Outcome {
  const judged = judgeSample(sample, meter.vm, meter.spare, now, limits);
  if (!judged.ok) return { is: "refused", code: judged.error };
  const { vmId, bootEpoch, seq } = sample;
  const { from, to } = judged.value;
  const time: Span = [+from, +to];
  const boot = meter.boots.get(bootEpoch);
  const seqs = boot?.seqs ?? [];
  if (covers(seqs, [seq, seq + 1])) {
    if (covers(meter.measured, time)) return { is: "duplicate" };
    return { is: "refused", code: "sequence_reused", nextSeq: endOf(seqs) ?? 0 };
  }
  if (overlaps(meter.measured, time)) return { is: "refused", code: "overlaps" };
  const endsAt = boot && boot.endsAt > to ? boot.endsAt : to;
  return {
    is: "stored",
    sample: { vmId, bootEpoch, seq, ...judged.value },
    meter: {
      ...meter,
      measured: addSpan(meter.measured, time),
      spare: judged.spare,
      boots: new Map(meter.boots).set(bootEpoch, {
        seqs: addSpan(seqs, [seq, seq + 1]),
        endsAt,
      }),
    },
  };
}
