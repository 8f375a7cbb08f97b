import { z } from "zod";
import type { ObservedVm } from "#core/contracts/agent/report.ts";
import { commonLimit, type VmLimits } from "#core/vms/seen-size.ts";
import { observedPower } from "./states.ts";

/* What `agent.ps1` answers. It runs on the host beside the agent, and is parsed all the same: a cmdlet may surprise it. */

export const Facts = z.object({
  version: z.string(),
  modern: z.boolean(),
  cpuThreads: z.int(),
  memoryMib: z.int(),
  diskGib: z.int(),
  images: z.array(z.object({ file: z.string(), virtualBytes: z.int() })),
  /** `Enable-VMMigration` was called. */
  migrates: z.boolean(),
  switchPresent: z.boolean(),
});

export const SeenVm = z.object({
  vmId: z.uuid(),
  epoch: z.int().positive(),
  state: z.string(),
  vcpus: z.int().positive(),
  memoryMib: z.int().positive(),
  diskGib: z.int().nonnegative(),
  complete: z.boolean(),
  bootEpoch: z.string().nullable(),
  /** The guest's own name; empty when it is up and does not tell; null when it was not seen. */
  guest: z.string().nullable(),
  seeded: z.boolean(),
});
export const Inventory = z.object({ vms: z.array(SeenVm) });

export function toObserved(vm: z.infer<typeof SeenVm>): ObservedVm {
  const power = observedPower(vm.state);
  return {
    vmId: vm.vmId,
    ownerEpoch: vm.epoch,
    power,
    // 0 is a VM whose tag was lost with its Notes: incomplete, and of a size that nobody knows.
    size: { vcpus: vm.vcpus, memoryMib: vm.memoryMib, diskGib: Math.max(1, vm.diskGib) },
    complete: vm.complete,
    bootEpoch: power === "off" ? null : vm.bootEpoch,
    guest: vm.guest === null ? null : { source: "guest_agent", hostname: vm.guest },
    seeded: vm.seeded,
  };
}

const Count = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform(BigInt);
export const Counters = z.object({
  vms: z.array(
    z.object({
      vmId: z.uuid(),
      bootEpoch: z.string(),
      /** In units of 100 ns. */
      cpuTicks: Count,
      rxBytes: z.array(Count),
      txBytes: z.array(Count),
      layers: z.array(z.object({ name: z.string(), read: Count, write: Count })),
      memoryBytes: Count,
      diskBytes: Count,
    }),
  ),
});

/** What kept it from starting; both null: it starts. */
export const Started = z.object({
  restoreFailed: z.string().nullable(),
  missingLayer: z.string().nullable(),
});

/** 0 is no limit. */
export const Limits = z.object({
  vms: z.array(
    z.object({
      vmId: z.uuid(),
      epoch: z.int().positive(),
      bandwidthBits: z.array(z.number().nonnegative()),
      iops: z.int().nonnegative(),
    }),
  ),
});

export const toLimits = ({
  bandwidthBits,
  iops,
}: z.infer<typeof Limits>["vms"][number]): VmLimits => ({
  bandwidthMbit: commonLimit(
    bandwidthBits.map((bits) => (bits === 0 ? null : Math.max(1, Math.round(bits / 1_000_000)))),
  ),
  diskIops: iops === 0 ? null : iops,
});

const Guarded = z.object({
  name: z.string(),
  spoofing: z.string(),
  dhcpGuard: z.string(),
  routerGuard: z.string(),
  acls: z.array(z.object({ action: z.string(), direction: z.string(), local: z.string() })),
});
export const Guards = z.object({
  vms: z.array(z.object({ vmId: z.uuid(), epoch: z.int().positive(), nics: z.array(Guarded) })),
});

export const Unclaimed = z.object({
  vms: z.array(z.object({ vmId: z.uuid(), epoch: z.int().positive() })),
});

/** What is missing of what keeps the adapter from addresses that are not its own; null: nothing. */
export function whyUnguarded(nic: z.infer<typeof Guarded>, address: string): string | null {
  if (nic.spoofing !== "Off") return "it may send from any MAC address";
  if (nic.dhcpGuard !== "On" || nic.routerGuard !== "On")
    return "it may play a DHCP server or a router";
  const rules = nic.acls.filter((acl) => acl.direction !== "Inbound");
  const denied = rules.some(
    (acl) => acl.action === "Deny" && /^(ANY|0\.0\.0\.0\/0)$/i.test(acl.local),
  );
  const allowed = rules.filter((acl) => acl.action === "Allow").map((acl) => acl.local);
  if (!denied) return "nothing forbids it foreign addresses";
  return allowed.every((local) => local === address || local === `${address}/32`) &&
    allowed.length > 0
    ? null
    : "its rules allow another address than its own";
}

/** Of a disk that can be moved. `layerBytes`: of all files that it consists of; `image`: that it lies on and nothing else. */
export const DiskMakeup = z.object({
  virtualBytes: z.int().positive(),
  layerBytes: z.int().nonnegative(),
  image: z.string().nullable(),
});

export const SeenEnd = z.object({ end: z.enum(["none", "off", "moving", "paused", "running"]) });
/** What the source's Move-VM has to know. From its destination: what a name and a path may be, the script checks. */
export const LiveFolder = z.strictObject({
  computer: z.string().min(1).max(253),
  folder: z.string().min(1).max(1000),
});

export type LiveFolder = z.infer<typeof LiveFolder>;

export const Created = z.object({ needsSeed: z.boolean() });

const Checkpoint = z.object({ checkpointId: z.uuid(), createdAt: z.iso.datetime() });
export type Checkpoint = z.infer<typeof Checkpoint>;
export const Checkpoints = z.object({ checkpoints: z.array(Checkpoint) });

const CmdletCall = z.object({
  cmdlet: z.string(),
  parameters: z.array(z.string()),
  /** Arguments that are words of the script itself. */
  literals: z.array(z.object({ parameter: z.string(), value: z.string() })),
  /** Every argument stands behind its parameter's name, so that the call can be checked whole. */
  named: z.boolean(),
  /** Made on Windows Server 2016 and later only. */
  modernOnly: z.boolean(),
  place: z.string(),
  /** What the module at hand does not offer of it. */
  missing: z.array(z.string()),
});
export type CmdletCall = z.infer<typeof CmdletCall>;
export const CmdletCalls = z.object({ calls: z.array(CmdletCall) });
