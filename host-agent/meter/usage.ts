import { z } from "zod";
import { Instant } from "#core/contracts/values.ts";
import { type UsageSample } from "#core/contracts/agent/usage.ts";
import type { VmCounters } from "#host-agent/drivers/driver.ts";

const Bytes = z.string().regex(/^\d+$/);

/** Where the last sample of a VM ended: what the next one is counted from. */
export const MeterMark = z.object({
  vmId: z.uuid(),
  /**
   * In which this host owned the VM then; left out of the first, which VMs that never moved are in: agents of before there were moves read
   * these marks too, and strictly.
   */
  ownerEpoch: z.int().min(2).optional(),
  bootEpoch: z.string(),
  nextSeq: z.int().nonnegative(),
  at: Instant,
  cpuNs: Bytes,
  rxBytes: z.array(Bytes),
  txBytes: z.array(Bytes),
  readBytes: Bytes,
  writeBytes: Bytes,
});
export type MeterMark = z.infer<typeof MeterMark>;

const FIRST_EPOCH = 1;
export const epochOf = ({ ownerEpoch = FIRST_EPOCH }: Pick<MeterMark, "ownerEpoch">): number =>
  ownerEpoch;

/** Where a boot epoch without any mark before it begins to be counted: its counters begin at zero. */
export const firstMark = (
  vmId: string,
  bootEpoch: string,
  at: Date,
  ownerEpoch = FIRST_EPOCH,
): MeterMark => ({
  vmId,
  ...(ownerEpoch !== FIRST_EPOCH && { ownerEpoch }),
  bootEpoch,
  nextSeq: 0,
  at: at.toISOString(),
  cpuNs: "0",
  rxBytes: [],
  txBytes: [],
  readBytes: "0",
  writeBytes: "0",
});

/**
 * The sample from the VM's last mark to `now`, and the mark after it; null when no time has passed. Counters of a
 * new boot epoch begin at zero, and its first sample begins where the last epoch's ended, so that a VM's samples
 * leave no gap. A counter that went backwards counts nothing once.
 */
export function takeSample(
  last: MeterMark,
  counters: VmCounters,
  now: Date,
): { sample: UsageSample; mark: MeterMark } | null {
  const from = last.at;
  const to = now.toISOString();
  if (from >= to) return null;
  const before = last.bootEpoch === counters.bootEpoch ? last : null;
  const since = (value: bigint, past = "0") => {
    const delta = value - BigInt(past);
    return (delta > 0n ? delta : 0n).toString();
  };
  const each = (values: readonly bigint[], past: readonly string[] | undefined) =>
    values.map((value, nic) => since(value, past?.[nic]));
  const seq = before?.nextSeq ?? 0;
  return {
    sample: {
      vmId: counters.vmId,
      bootEpoch: counters.bootEpoch,
      seq,
      from,
      to,
      cpuNs: since(counters.cpuNs, before?.cpuNs),
      rxBytes: each(counters.rxBytes, before?.rxBytes),
      txBytes: each(counters.txBytes, before?.txBytes),
      readBytes: since(counters.readBytes, before?.readBytes),
      writeBytes: since(counters.writeBytes, before?.writeBytes),
      memoryBytes: counters.memoryBytes.toString(),
      diskBytes: counters.diskBytes.toString(),
    },
    mark: {
      vmId: counters.vmId,
      ...(last.ownerEpoch !== undefined && { ownerEpoch: last.ownerEpoch }),
      bootEpoch: counters.bootEpoch,
      nextSeq: seq + 1,
      at: to,
      cpuNs: counters.cpuNs.toString(),
      rxBytes: counters.rxBytes.map(String),
      txBytes: counters.txBytes.map(String),
      readBytes: counters.readBytes.toString(),
      writeBytes: counters.writeBytes.toString(),
    },
  };
}
