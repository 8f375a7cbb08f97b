import { XMLBuilder, XMLParser } from "fast-xml-parser";
import { z } from "zod";
import { DriverError } from "../driver.ts";

/* XML as it stands, in its order, for whoever changes or judges a part of it. */

/** An element, or a text, in its place. `:@` holds the attributes; entities stay as they are written. */
export type XmlNode = { [name: string]: XmlNode[] | string | Record<string, string> | undefined };
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

export const nameOf = (node: XmlNode): string =>
  Object.keys(node).find((key) => key !== ATTRIBUTES) ?? "";
export function childrenOf(node: XmlNode): XmlNode[] {
  const children = node[nameOf(node)];
  return Array.isArray(children) ? children : [];
}
export function attributesOf(node: XmlNode): Record<string, string> {
  const attributes = node[ATTRIBUTES];
  return typeof attributes === "object" && !Array.isArray(attributes) ? attributes : {};
}
export const element = (
  name: string,
  children: XmlNode[],
  attributes: Record<string, string>,
): XmlNode => ({
  [name]: children,
  [ATTRIBUTES]: attributes,
});
export const named = (nodes: readonly XmlNode[], name: string): XmlNode[] =>
  nodes.filter((node) => nameOf(node) === name);
export function only(parent: XmlNode, name: string): XmlNode {
  const [child, ...more] = named(childrenOf(parent), name);
  if (child === undefined || more.length > 0)
    throw new DriverError(
      "unsupported",
      `a definition has no one <${name}> in <${nameOf(parent)}>`,
    );
  return child;
}
export const textOf = (node: XmlNode): string => {
  const text = childrenOf(node)[0]?.["#text"];
  return typeof text === "string" ? text : "";
};
export const find = (parent: XmlNode, ...names: string[]): XmlNode => names.reduce(only, parent);

/** The elements of a document. */
export const parseXml = (xml: string): XmlNode[] => z.array(NodeSchema).parse(parser.parse(xml));

/** Of a `<domain>`. Throws `unsupported` for another document. */
export const parseDomainXml = (xml: string): XmlNode => only({ document: parseXml(xml) }, "domain");

export const withChildren = (node: XmlNode, children: XmlNode[]): XmlNode =>
  element(nameOf(node), children, attributesOf(node));
export const without = (nodes: readonly XmlNode[], ...names: string[]): XmlNode[] =>
  nodes.filter((node) => !names.includes(nameOf(node)));

export const toXml = (node: XmlNode): string => builder.build([node]);
