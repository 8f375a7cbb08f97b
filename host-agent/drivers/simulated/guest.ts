import type { ObservedVm } from "#core/contracts/agent/report.ts";
import type { ObservedPower } from "#core/vms/vm.ts";
import type { VmCounters } from "../driver.ts";
import type { Run, VmRecord } from "./world.ts";

const MIB = 1024n * 1024n;
const GIB = 1024n * MIB;

/** The run that goes on at `now`; null when the VM is off, also because its guest has shut down meanwhile. */
export function runAt(vm: VmRecord, now: number): Run | null {
  if (vm.run === null) return null;
  return vm.run.offFrom !== null && now >= vm.run.offFrom ? null : vm.run;
}

/** What is left of its definition when it does not run any more. */
export const definitionAt = (vm: VmRecord, now: number): VmRecord["definition"] =>
  vm.undefinedRun && runAt(vm, now) === null ? null : vm.definition;

function powerAt(vm: VmRecord, now: number): ObservedPower {
  const run = runAt(vm, now);
  if (run === null) return "off";
  if (run.failed) return "failed";
  if (run.paused) return "paused";
  return run.offFrom === null ? "running" : "stopping";
}

export const UNLIMITED = { bandwidthMbit: null, diskIops: null };

/** What a look at the VM shows. `ownerEpoch` is its tag's, which the caller has found. */
export function observe(vm: VmRecord, ownerEpoch: number, now: number): ObservedVm {
  const run = runAt(vm, now);
  const power = powerAt(vm, now);
  const guestUp = power === "running" && run !== null && now >= run.guestFrom;
  return {
    vmId: vm.vmId,
    ownerEpoch,
    power,
    size: vm.size,
    limits: vm.limits ?? UNLIMITED,
    ...(run !== null && { hotVcpus: run.maxVcpus }),
    complete: vm.disk !== null && vm.seed !== null && definitionAt(vm, now) !== null,
    bootEpoch: run?.bootEpoch ?? null,
    ...(vm.undefinedRun && run !== null && { defined: false }),
    guest: guestUp && vm.seed ? { source: "simulated", hostname: vm.seed.hostname } : null,
    seeded: vm.seed !== null && !vm.seed.erased,
  };
}

/**
 * Counters as a pure function of time since the boot epoch began, with rates of the VM's own (from its id), so
 * that they only grow and a repeated run gives the same figures. All rates are far below a 100 Mbit/s NIC.
 */
export function countersAt(vm: VmRecord, run: Run, now: number): VmCounters {
  const elapsedMs = BigInt(Math.max(0, now - run.startedAt));
  const weight = BigInt(weightOf(vm.vmId));
  const perSecond = (bytes: bigint) => (bytes * weight * elapsedMs) / 1000n;
  const nics = vm.definition?.macs ?? [];
  const grown = 200n * MIB + perSecond(512n);
  const most = BigInt(vm.size.diskGib) * GIB;
  return {
    vmId: vm.vmId,
    bootEpoch: run.bootEpoch,
    cpuNs: elapsedMs * 10_000n * weight,
    rxBytes: nics.map(() => perSecond(4_000n)),
    txBytes: nics.map(() => perSecond(9_000n)),
    readBytes: perSecond(2_000n),
    writeBytes: perSecond(3_000n),
    memoryBytes: BigInt(vm.size.memoryMib) * MIB,
    diskBytes: grown < most ? grown : most,
  };
}

/** 1 to 16, spread over ids (FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/). */
function weightOf(vmId: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < vmId.length; i++)
    hash = Math.imul(hash ^ vmId.charCodeAt(i), 0x01000193) >>> 0;
  return (hash % 16) + 1;
}
