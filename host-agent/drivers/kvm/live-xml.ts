import { DriverError, type VmRef } from "../driver.ts";
import { domainName, TAG_NAMESPACE } from "./tag.ts";
import {
  attributesOf,
  childrenOf,
  element,
  find,
  named,
  nameOf,
  only,
  parseDomainXml,
  textOf,
  toXml,
  withChildren,
  without,
  type XmlNode,
} from "./xml-nodes.ts";

/*
 * The definition that a guest goes on with at the destination. libvirt takes none that the guest would notice, so it is the source's own,
 * of what runs, with the destination's in what is each host's own: the tag, the files, and what NICs are plugged into.
 */

const kindOf = (disk: XmlNode): string => attributesOf(disk)["device"] ?? "disk";
const systemDisk = (domain: XmlNode): XmlNode => {
  const disks = named(childrenOf(only(domain, "devices")), "disk");
  const [disk, ...more] = disks.filter((each) => kindOf(each) === "disk");
  if (disk === undefined || more.length > 0)
    throw new DriverError("unsupported", "a definition has not one disk");
  return disk;
};
const macOf = (card: XmlNode): string => attributesOf(only(card, "mac"))["address"] ?? "";

/**
 * `running`: as the source's libvirt has it (`dumpxml --migratable`). `target`: as the destination will define it. Throws `unsupported` for
 * a target that is not of `moved`, or of another shape.
 */
export function liveXml(running: string, target: string, moved: VmRef): string {
  const [source, destination] = [parseDomainXml(running), parseDomainXml(target)];
  refuseOther(destination, moved);
  const cards = new Map(
    named(childrenOf(only(destination, "devices")), "interface").map((card) => [macOf(card), card]),
  );
  const log = find(destination, "devices", "serial", "log");

  const device = (node: XmlNode): XmlNode => {
    const children = childrenOf(node);
    switch (nameOf(node)) {
      case "disk":
        if (kindOf(node) === "disk")
          return withChildren(node, [
            // What lies under it is looked up there.
            ...without(children, "source", "backingStore"),
            only(systemDisk(destination), "source"),
          ]);
        // Empty: the seed, if it is there still, holds secrets, and is not moved.
        return withChildren(node, without(children, "source", "backingStore"));
      case "serial":
      case "console":
        // The terminal is one of the source's.
        return element(
          nameOf(node),
          [
            ...without(children, "source", "log"),
            ...(named(children, "log").length > 0 ? [log] : []),
          ],
          Object.fromEntries(Object.entries(attributesOf(node)).filter(([name]) => name !== "tty")),
        );
      case "interface": {
        const card = cards.get(macOf(node));
        if (card === undefined)
          throw new DriverError("unsupported", `the target has no NIC ${macOf(node)}`);
        const type = attributesOf(card)["type"] ?? "";
        const plugged = named(childrenOf(card), "source");
        const rest = without(children, "source", "target");
        return element("interface", [...plugged, ...rest], { ...attributesOf(node), type });
      }
      default:
        return node;
    }
  };
  const children = childrenOf(source).flatMap((node) => {
    const name = nameOf(node);
    if (name === "metadata") return [only(destination, "metadata")];
    // Of the source's users and labels.
    if (name === "seclabel") return [];
    return name === "devices" ? [withChildren(node, childrenOf(node).map(device))] : [node];
  });
  return toXml(withChildren(source, children));
}

function refuseOther(destination: XmlNode, moved: VmRef): void {
  const tag = attributesOf(find(destination, "metadata", "berth:vm"));
  const isIt =
    textOf(only(destination, "uuid")) === moved.vmId &&
    textOf(only(destination, "name")) === domainName(moved.vmId) &&
    tag["xmlns:berth"] === TAG_NAMESPACE &&
    tag["id"] === moved.vmId &&
    tag["ownerEpoch"] === String(moved.ownerEpoch) &&
    tag["released"] === undefined;
  if (!isIt)
    throw new DriverError(
      "unsupported",
      `the target is not VM ${moved.vmId} in epoch ${moved.ownerEpoch}`,
    );
}
