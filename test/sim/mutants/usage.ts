import type { Mutant } from "./plant.ts";

/** Of what is measured. */
export const USAGE: readonly Mutant[] = [
  {
    name: "meter: never samples",
    file: "host-agent/meter/meter.ts",
    find: ".filter((counters) => isOurs(counters.vmId))",
    replace: ".filter(() => false)",
  },
  {
    name: "meter: counts from its first sample, not from when it first saw the VM run",
    file: "host-agent/meter/meter.ts",
    find: "if (marks.length === 0) return;",
    replace: "if (marks.length >= 0) return;",
  },
  {
    name: "meter: received bytes are counted from the boot on in every sample",
    file: "host-agent/meter/usage.ts",
    find: "rxBytes: each(counters.rxBytes, before?.rxBytes),",
    replace: "rxBytes: each(counters.rxBytes, undefined),",
  },
  {
    name: "usage: a repeat is not known by its number",
    file: "core/usage/take-samples.ts",
    find: `if (covers(meter.measured, time)) return { is: "duplicate" };`,
    replace: "",
  },
  {
    name: "usage: what is stored of a VM is not written down",
    file: "db/usage/samples.ts",
    find: "update ${usageMeters} as m set measured = n.measured",
    replace: "update ${usageMeters} as m set measured = m.measured",
  },
  {
    name: "usage: an hour forgets what it had when more comes",
    file: "db/usage/samples.ts",
    find: "set cpu_ns = h.cpu_ns + excluded.cpu_ns",
    replace: "set cpu_ns = excluded.cpu_ns",
  },
  {
    name: "spool: deleted before the control plane has acknowledged it",
    file: "host-agent/meter/meter.ts",
    find: "const left = await sendSamples(",
    replace:
      "await spool.settle(batch, { refused: [], waiting: [] });\n      const left = await sendSamples(",
  },
  {
    name: "meter: every sample counts from the beginning of the boot",
    file: "host-agent/meter/usage.ts",
    find: "const before = last.bootEpoch === counters.bootEpoch ? last : null;",
    replace:
      "const before = last.bootEpoch === counters.bootEpoch ? { ...last, rxBytes: [], txBytes: [] } : null;",
  },
  {
    name: "usage: the time of a move is a gap that nothing marks",
    file: "core/usage/unmeasured.ts",
    find: "return isHandover ? [[ended, begins] as const] : [];",
    replace: "return isHandover && ended > begins ? [[ended, begins] as const] : [];",
    plan: "moved-there-and-back",
  },
];
