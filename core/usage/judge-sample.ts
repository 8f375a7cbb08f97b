import type { UsageSample } from "#core/contracts/agent/usage.ts";

/** Clocks of hosts may run ahead of ours by this much. */
const CLOCK_SKEW_MS = 60_000;
/**
 * Samples wait on a host's disk while we are away. What is older than this is not taken; a sample that begins before it
 * and ends after it (the first one of a VM that was off for long) is cut to begin here.
 */
export const OLDEST_SAMPLE_MS = 35 * 24 * 60 * 60_000;
/** A NIC without a limit of its own: 25 Gbit/s is the fastest port we place. */
const DEFAULT_NIC_MBIT = 25_000;
/** Measured intervals and the hypervisor's counters are not read at one instant: 10 % and a second of slack. */
const SLACK = 1.1;

export type JudgedSample = Readonly<{
  from: Date;
  to: Date;
  cpuNs: bigint;
  rxBytes: bigint;
  txBytes: bigint;
  readBytes: bigint;
  writeBytes: bigint;
  memoryBytes: bigint;
  diskBytes: bigint;
  /** Something was cut to what is physically possible. */
  bounded: boolean;
}>;
export type SampleRefusal =
  | "ends_in_future"
  | "too_old"
  | "not_forward"
  | "before_creation"
  | "after_destruction";

const sum = (counts: readonly string[]) => counts.reduce((n, c) => n + BigInt(c), 0n);

/**
 * Checks a sample, which is untrusted input, against what is possible: time runs forward and ends by now, nothing
 * begins before the VM was ordered from its host or after it is gone, no NIC carries more than its speed allows, no CPU
 * runs longer than the time there was (invariants 10, 11). What is too much is cut and marked; it is never billed as it came.
 */
export function judgeSample(
  sample: UsageSample,
  vm: { vcpus: number; bandwidthMbit: number | null; createdAt: Date; deletedAt: Date | null },
  now: Date,
): { ok: true; value: JudgedSample } | { ok: false; error: SampleRefusal } {
  const began = new Date(sample.from);
  const to = new Date(sample.to);
  const oldest = +now - OLDEST_SAMPLE_MS;
  if (+to <= oldest) return { ok: false, error: "too_old" };
  const from = +began < oldest ? new Date(oldest) : began;
  if (to <= from) return { ok: false, error: "not_forward" };
  if (+to > +now + CLOCK_SKEW_MS) return { ok: false, error: "ends_in_future" };
  if (+from < +vm.createdAt - CLOCK_SKEW_MS) return { ok: false, error: "before_creation" };
  if (vm.deletedAt !== null && from >= vm.deletedAt)
    return { ok: false, error: "after_destruction" };

  const ms = (+to - +from + 1000) * SLACK;
  // Of all its NICs together: a VM has one, and one that is reported besides it carries nothing more.
  const nicBytes = BigInt(Math.ceil(((vm.bandwidthMbit ?? DEFAULT_NIC_MBIT) * 1e6 * ms) / 8000));
  const cpuMost = BigInt(Math.ceil(vm.vcpus * ms * 1e6));
  let bounded = from !== began;
  const most = (value: bigint, limit: bigint) => {
    if (value <= limit) return value;
    bounded = true;
    return limit;
  };
  const judged = {
    from,
    to,
    cpuNs: most(BigInt(sample.cpuNs), cpuMost),
    rxBytes: most(sum(sample.rxBytes), nicBytes),
    txBytes: most(sum(sample.txBytes), nicBytes),
    // A disk has no speed of its own here: 100 GB/s is past what a host's memory moves.
    readBytes: most(BigInt(sample.readBytes), BigInt(Math.ceil(ms * 1e8))),
    writeBytes: most(BigInt(sample.writeBytes), BigInt(Math.ceil(ms * 1e8))),
    memoryBytes: most(BigInt(sample.memoryBytes), 1n << 50n),
    diskBytes: most(BigInt(sample.diskBytes), 1n << 56n),
  };
  return { ok: true, value: { ...judged, bounded } };
}
