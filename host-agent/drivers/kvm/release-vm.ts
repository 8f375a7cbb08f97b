import { DriverError, type VmRef } from "../driver.ts";
import { setTag } from "./domain-xml.ts";
import type { KvmHost } from "./host.ts";
import { isActive } from "./parse-domain.ts";

/** Marks the VM's definition, which is libvirt's own record on this host's disk, as released; or takes the mark away. */
export async function markReleased(
  host: KvmHost,
  ref: VmRef,
  released: boolean,
  signal?: AbortSignal,
): Promise<void> {
  const domain = await host.owned(ref, signal);
  if (domain === null) throw new DriverError("vm_missing", `${ref.vmId} is not defined here`);
  if (domain.own.released === released) return;
  if (released && isActive(domain.power))
    throw new DriverError("must_be_off", `${ref.vmId} is ${domain.power}`);
  const of = ["--config", ...(isActive(domain.power) ? ["--live"] : [])];
  await host.libvirt.run([...setTag(ref.vmId, { ...domain.own, released }), ...of], { signal });
  host.log.info(released ? "vm_released" : "vm_held", { vm_id: ref.vmId });
}
