import { DriverError, type VmRef } from "../driver.ts";

/**
 * Berth's tag on everything it owns on a KVM host: the VM's id and its owner epoch, in the domain's own metadata
 * and in the name of each of its files, so that neither can be taken for another's when the other half is lost.
 */
export const TAG_NAMESPACE = "urn:berth:vm:1";
/** The prefix that stands for it. */
export const TAG_KEY = "berth";

const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const STEM = new RegExp(`^(${UUID})\\.e([1-9][0-9]{0,8})\\.`);
const WHOLE_UUID = new RegExp(`^${UUID}$`);

/** The domain's name. Names in libvirt are unique on a host, as ids are. */
export function domainName(vmId: string): string {
  return `berth-${checkedId(vmId)}`;
}

/** What the names of a VM's files begin with. */
export function fileStem(ref: VmRef): string {
  return `${checkedId(ref.vmId)}.e${ref.ownerEpoch}`;
}

/** Whose file this is; null for a name that Berth does not give. */
export function tagOfFile(name: string): VmRef | null {
  const [, vmId, epoch] = STEM.exec(name) ?? [];
  return vmId === undefined || epoch === undefined ? null : { vmId, ownerEpoch: Number(epoch) };
}

/** Ids become file names and arguments; nothing but a UUID in its canonical form may. */
export function checkedId(vmId: string): string {
  if (!WHOLE_UUID.test(vmId))
    throw new DriverError("not_ours", `not a VM id: ${vmId.slice(0, 50)}`);
  return vmId;
}

/** Refuses a request whose owner epoch is not the one that the host's own records hold. */
export function checkOwner(held: VmRef, asked: VmRef): void {
  if (held.vmId !== asked.vmId)
    throw new DriverError("not_ours", `${asked.vmId} is tagged as ${held.vmId}`);
  if (held.ownerEpoch !== asked.ownerEpoch)
    throw new DriverError(
      "stale_epoch",
      `${asked.vmId} is held at owner epoch ${held.ownerEpoch}, asked for ${asked.ownerEpoch}`,
    );
}

/** Refuses what would change a copy that its host has released: another host has the VM, or is about to. */
export function refuseReleased({ tag, released }: { tag: VmRef; released: boolean }): void {
  if (released) throw new DriverError("stale_epoch", `${tag.vmId} was released to another host`);
}
