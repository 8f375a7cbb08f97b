import type { UsageSample } from "#core/contracts/agent/usage.ts";

/** Clocks of hosts may run ahead of ours by this much. */
export const CLOCK_SKEW_MS = 60_000;
/**
 * Samples wait on a host's disk while we are away. What is older than this is not taken; a sample that begins before it
 * and ends after it (the first one of a VM that was off for long) is cut to begin here.
 */
export const OLDEST_SAMPLE_MS = 35 * 24 * 60 * 60_000;
/** A NIC without a limit of its own: 25 Gbit/s is the fastest port we place. */
const DEFAULT_NIC_MBIT = 25_000;
/** A disk has no speed of its own here: 100 GB/s is past what a host's memory moves. */
const DISK_BYTES_A_MS = 100_000_000n;
/**
 * Measured intervals and the hypervisor's counters are not read at one instant: 10 %, and a second. The second is the VM's and
 * not each sample's: what one sample uses of it the next has not, until it has come back by samples that counted less.
 */
const SLACK_MS = 1000;
const withSlack = (most: bigint) => (most * 11n) / 10n;

/** The VM whose counters they are. */
export type MeteredVm = Readonly<{
  vcpus: number;
  memoryMib: number;
  diskGib: number;
  bandwidthMbit: number | null;
  createdAt: Date;
  deletedAt: Date | null;
  /** When the host that measured it had it from, and until; null: it was made there, and it has it still. */
  ownedFrom: Date | null;
  ownedUntil: Date | null;
}>;

const COUNTERS = ["cpuNs", "rxBytes", "txBytes", "readBytes", "writeBytes"] as const;
type Counters = Readonly<Record<(typeof COUNTERS)[number], bigint>>;
/** What a VM's next sample may come to beyond its own time; null: all of the second is there. */
export type Spare = Counters;

export type JudgedSample = Counters &
  Readonly<{
    from: Date;
    to: Date;
    memoryBytes: bigint;
    diskBytes: bigint;
    /** Something was cut to what is possible. */
    bounded: boolean;
  }>;
export type SampleRefusal =
  | "ends_in_future"
  | "too_old"
  | "not_forward"
  | "before_creation"
  | "after_destruction"
  | "not_owned_then";

const sum = (counts: readonly string[]) => counts.reduce((n, c) => n + BigInt(c), 0n);
const lesser = (a: bigint, b: bigint) => (a < b ? a : b);

/** What each of a VM's counters can come to: in a millisecond, and beyond its samples' own time. The same for all its samples. */
export type Limits = Readonly<{ rates: Counters; full: Counters }>;

export function limitsOf(vm: MeteredVm): Limits {
  // Of all its NICs together: a VM has one, and one that is reported besides it carries nothing more.
  const nic = BigInt(vm.bandwidthMbit ?? DEFAULT_NIC_MBIT) * 125n;
  const rates: Counters = {
    cpuNs: BigInt(vm.vcpus) * 1_000_000n,
    rxBytes: nic,
    txBytes: nic,
    readBytes: DISK_BYTES_A_MS,
    writeBytes: DISK_BYTES_A_MS,
  };
  const full = (counter: keyof Counters) => withSlack(rates[counter] * BigInt(SLACK_MS));
  return {
    rates,
    full: {
      cpuNs: full("cpuNs"),
      rxBytes: full("rxBytes"),
      txBytes: full("txBytes"),
      readBytes: full("readBytes"),
      writeBytes: full("writeBytes"),
    },
  };
}

/**
 * Checks a sample, which is untrusted input, against what is possible: time runs forward and ends by now, nothing
 * begins before the VM was ordered from its host or after it is gone, no NIC carries more than its speed allows, no CPU
 * runs longer than the time there was, nothing is larger than the VM (invariants 10, 11). What is too much is cut and
 * marked; it is never billed as it came. However a time is cut into samples, they come to no more than the time and one
 * second allow (4b B3).
 */
export function judgeSample(
  sample: UsageSample,
  vm: MeteredVm,
  spare: Spare | null,
  now: Date,
  { rates, full }: Limits = limitsOf(vm),
): { ok: true; value: JudgedSample; spare: Spare } | { ok: false; error: SampleRefusal } {
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
  // Clocks of the two hosts may differ by as much; that nothing is counted twice, its meter sees to.
  if (
    (vm.ownedFrom !== null && +to <= +vm.ownedFrom - CLOCK_SKEW_MS) ||
    (vm.ownedUntil !== null && +to > +vm.ownedUntil + CLOCK_SKEW_MS)
  )
    return { ok: false, error: "not_owned_then" };

  const ms = BigInt(+to - +from);
  let bounded = from !== began;
  const most = (value: bigint, limit: bigint) => {
    if (value <= limit) return value;
    bounded = true;
    return limit;
  };
  const count = (counter: keyof Counters, said: bigint) => {
    const beyond = full[counter];
    const limit = lesser(spare?.[counter] ?? beyond, beyond) + withSlack(rates[counter] * ms);
    const counted = most(said, limit);
    return { counted, left: lesser(limit - counted, beyond) };
  };
  const cpu = count("cpuNs", BigInt(sample.cpuNs));
  const rx = count("rxBytes", sum(sample.rxBytes));
  const tx = count("txBytes", sum(sample.txBytes));
  const read = count("readBytes", BigInt(sample.readBytes));
  const write = count("writeBytes", BigInt(sample.writeBytes));
  const memoryBytes = most(BigInt(sample.memoryBytes), BigInt(vm.memoryMib) << 20n);
  const diskBytes = most(BigInt(sample.diskBytes), BigInt(vm.diskGib) << 30n);
  return {
    ok: true,
    value: {
      from,
      to,
      cpuNs: cpu.counted,
      rxBytes: rx.counted,
      txBytes: tx.counted,
      readBytes: read.counted,
      writeBytes: write.counted,
      memoryBytes,
      diskBytes,
      bounded,
    },
    spare: {
      cpuNs: cpu.left,
      rxBytes: rx.left,
      txBytes: tx.left,
      readBytes: read.left,
      writeBytes: write.left,
    },
  };
}
