import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { DriverError, type VmRef } from "../driver.ts";

/* What `agent.ps1` is told of a VM. */

/** One call of the script about a VM. */
export type Ask = (op: string, vm: VmRef, fields: object, signal?: AbortSignal) => Promise<unknown>;

const VM_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
export function reference(vm: VmRef) {
  // It becomes a folder's name, here and in the script.
  if (!VM_ID.test(vm.vmId)) throw new DriverError("unsupported", "not a VM id");
  return { vmId: vm.vmId, epoch: vm.ownerEpoch };
}

export function hardware(vm: DesiredVm) {
  return {
    ...vm.size,
    iops: vm.diskIops,
    nics: vm.nics.map((nic) => ({
      mac: nic.mac.replaceAll(":", ""),
      address: nic.ipv4.address,
      vlan: nic.vlan,
      bandwidthBits: nic.bandwidthMbit === null ? null : nic.bandwidthMbit * 1_000_000,
    })),
  };
}

/** All of a VM that is new to its host, but for its disk. */
export function wholeHardware(vm: DesiredVm) {
  const { os, firmware = null, secureBoot = null } = vm.image;
  return { ...hardware(vm), os, firmware, secureBoot };
}
