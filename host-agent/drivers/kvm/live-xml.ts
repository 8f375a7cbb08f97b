import { XMLBuilder, XMLParser } from "fast-xml-parser";
import { z } from "zod";
import { DriverError, type VmRef } from "../driver.ts";
import { domainName, TAG_NAMESPACE } from "./tag.ts";

/*
 * The definition that a guest goes on with at the destination. libvirt takes none that the guest would notice, so it is the source's own,
 * of what runs, with the destination's in what is each host's own: the tag, the files, and what NICs are plugged into.
 */

/** An element, or a text, in its place. `:@` holds the attributes; entities stay as they are written. */
type XmlNode = { [name: string]: XmlNode[] | string | Record<string, string> | undefined };
const NodeSchema: z.ZodType<XmlNode> = z.lazy(() =>
  z.record(
    z.string(),
    z.union([z.array(NodeSchema), z.string(), z.record(z.string(), z.string())]).optional(),
  ),
);
const AS_WRITTEN = {
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: "",
  processEntities: false,
  trimValues: false,
  parseTagValue: false,
  parseAttributeValue: false,
} as const;
const ATTRIBUTES = ":@";
const parser = new XMLParser(AS_WRITTEN);
const builder = new XMLBuilder({ ...AS_WRITTEN, suppressEmptyNode: true });

const nameOf = (node: XmlNode): string => Object.keys(node).find((key) => key !== ATTRIBUTES) ?? "";
function childrenOf(node: XmlNode): XmlNode[] {
  const children = node[nameOf(node)];
  return Array.isArray(children) ? children : [];
}
function attributesOf(node: XmlNode): Record<string, string> {
  const attributes = node[ATTRIBUTES];
  return typeof attributes === "object" && !Array.isArray(attributes) ? attributes : {};
}
const element = (
  name: string,
  children: XmlNode[],
  attributes: Record<string, string>,
): XmlNode => ({
  [name]: children,
  [ATTRIBUTES]: attributes,
});
const named = (nodes: readonly XmlNode[], name: string): XmlNode[] =>
  nodes.filter((node) => nameOf(node) === name);
function only(parent: XmlNode, name: string): XmlNode {
  const [child, ...more] = named(childrenOf(parent), name);
  if (child === undefined || more.length > 0)
    throw new DriverError(
      "unsupported",
      `a definition has no one <${name}> in <${nameOf(parent)}>`,
    );
  return child;
}
const textOf = (node: XmlNode): string => {
  const text = childrenOf(node)[0]?.["#text"];
  return typeof text === "string" ? text : "";
};
const find = (parent: XmlNode, ...names: string[]): XmlNode => names.reduce(only, parent);

function parse(xml: string): XmlNode {
  const read: unknown = parser.parse(xml);
  return only({ document: z.array(NodeSchema).parse(read) }, "domain");
}

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
  const [source, destination] = [parse(running), parse(target)];
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
  return builder.build([withChildren(source, children)]);
}

const withChildren = (node: XmlNode, children: XmlNode[]): XmlNode =>
  element(nameOf(node), children, attributesOf(node));
const without = (nodes: readonly XmlNode[], ...names: string[]): XmlNode[] =>
  nodes.filter((node) => !names.includes(nameOf(node)));

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
