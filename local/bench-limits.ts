/** What issue 1 allows (“It must show”), on 2 cores that have nothing else to do. It sets no limit for the memory. */
export const LIMITS = {
  /** One order after another: the median from payment to running. */
  serialP50Ms: 150,
  /** 50 orders paid at once: until the last one runs. */
  burstAllRunningMs: 2000,
  /** The KVM driver's time through the raw commands' for the same guest. */
  kvmRatio: 1.3,
} as const;

export type Figures = Readonly<{
  serial: { p50Ms: number };
  burst: { allRunningMs: number };
  kvm: { ratio: number } | { skipped: string };
}>;
/** null: not measured. */
export type Within = Readonly<Record<keyof typeof LIMITS, boolean | null>>;

export const withinLimits = ({ serial, burst, kvm }: Figures): Within => ({
  serialP50Ms: serial.p50Ms <= LIMITS.serialP50Ms,
  burstAllRunningMs: burst.allRunningMs <= LIMITS.burstAllRunningMs,
  kvmRatio: "skipped" in kvm ? null : kvm.ratio <= LIMITS.kvmRatio,
});

/** A line for each limit that is exceeded. */
export const exceeded = (within: Within): readonly string[] =>
  Object.entries(LIMITS)
    .filter(([name]) => Object.entries(within).some(([n, ok]) => n === name && ok === false))
    .map(([name, limit]) => `${name} is more than ${limit}`);
