import type { VmRef } from "../driver.ts";
import { setTag } from "./domain-xml.ts";
import type { KvmHost } from "./host.ts";

/**
 * Gives the tags of these VMs the id of this installation, where they bear none. libvirt changes nothing but the metadata, of
 * what runs and of what is defined at once: no guest notices it.
 */
export async function claimVms(
  host: KvmHost,
  vms: readonly VmRef[],
  signal?: AbortSignal,
): Promise<number> {
  const installation = host.installation();
  if (installation === null) return 0;
  const epochs = new Map(vms.map((vm) => [vm.vmId, vm.ownerEpoch]));
  let claimed = 0;
  for (const { own, uuid, power, persistent } of await host.look.all(signal)) {
    if (own === null || own.installation !== null) continue;
    if (epochs.get(uuid) !== own.tag.ownerEpoch) continue;
    const of = [...(persistent ? ["--config"] : []), ...(power === "off" ? [] : ["--live"])];
    await host.libvirt.run([...setTag(uuid, { ...own, installation }), ...of], { signal });
    claimed += 1;
    host.log.info("vm_claimed", { vm_id: uuid });
  }
  return claimed;
}
