import { DriverError } from "../driver.ts";
import {
  attributesOf,
  childrenOf,
  named,
  nameOf,
  only,
  parseDomainXml,
  parseXml,
  textOf,
  toXml,
  without,
  type XmlNode,
} from "./xml-nodes.ts";

/*
 * What a source may have this host's libvirt define: the source's libvirt writes the definition, with all that it adds by itself, so that
 * it is never this host's own to the letter. Nothing of the host's may be in it that this host's own definition does not name.
 */

/** libvirt adds these to what it was given. None names anything of the host's but by a path, which is looked at. */
const ADDED = {
  domain: ["currentMemory", "resource", "cpu", "pm", "on_poweroff", "on_reboot", "on_crash"],
  devices: ["emulator", "controller", "input", "audio", "memballoon", "console"],
} as const;
/** Of these the one that stands first says what they are on the host's side, and no other kind of it is taken. */
const KINDS_ADDED: Readonly<Record<string, readonly string[]>> = {
  console: ["pty"],
  input: ["mouse", "keyboard", "tablet"],
  audio: ["none"],
  controller: ["ide", "sata", "scsi", "virtio-serial", "pci", "usb", "fdc"],
};
/** What a NIC's frame is on the guest's side, and libvirt's names for it. */
const OF_GUEST: ReadonlySet<string> = new Set(["mac", "model", "address", "alias"]);
/** Files that come with QEMU, and that libvirt finds by itself. */
const QEMUS = [
  /^\/usr\/(?:bin|libexec)\/qemu-(?:system-x86_64|kvm)$/,
  /^\/usr\/share\/(?:OVMF|qemu|edk2)\/[A-Za-z0-9_./-]+\.(?:fd|qcow2|bin)$/,
  /^\/machine$/,
] as const;

/** Elements that name something of the host's, and of their attributes those that do not. */
const HOST_SIDE: ReadonlySet<string> = new Set([
  "source",
  "log",
  "backend",
  "loader",
  "nvram",
  "emulator",
]);
const NAMES_NOTHING: ReadonlySet<string> = new Set([
  "index",
  "startupPolicy",
  "append",
  "model",
  "readonly",
  "secure",
  "type",
  "format",
]);
/** What two parsers may read in two ways: documents in documents, and characters that are written as others. libvirt writes none. */
const AMBIGUOUS = /<[!?]|&(?!(?:lt|gt|amp|quot|apos);)|\0/;

/** Throws `unsupported` for a definition that names what `own` does not. */
export function checkIncoming(xml: string, own: string): void {
  if (AMBIGUOUS.test(xml)) throw foreign("something that libvirt does not write");
  const [incoming, wanted] = [parseDomainXml(xml), parseDomainXml(own)];
  same("type", attributesOf(incoming)["type"], attributesOf(wanted)["type"]);
  for (const name of ["uuid", "name"]) same(name, textIn(incoming, name), textIn(wanted, name));
  same("metadata", plain(only(incoming, "metadata")), plain(only(wanted, "metadata")));
  onlyKnown(incoming, wanted, ADDED.domain);
  onlyKnown(only(incoming, "os"), only(wanted, "os"), ["loader", "nvram", "firmware"]);
  const [devices, ours] = [only(incoming, "devices"), only(wanted, "devices")];
  onlyKnown(devices, ours, ADDED.devices);
  const names = new Set(hostSide(wanted));
  const nvram = `/var/lib/libvirt/qemu/nvram/${textIn(wanted, "name")}_VARS.fd`;
  for (const name of hostSide(incoming))
    if (!names.has(name) && !isQemus(name) && name !== nvram) throw foreign(name);
  for (const device of elementsOf(devices)) checkDevice(device, ours);
}

function checkDevice(device: XmlNode, ours: XmlNode): void {
  const name = nameOf(device);
  if (name === "interface") return checkCard(device, ours);
  if (name === "disk") return checkDisk(device, ours);
  const { type } = attributesOf(device);
  const own = named(childrenOf(ours), name);
  const kinds = [...own.map((each) => attributesOf(each)["type"]), ...(KINDS_ADDED[name] ?? [])];
  if (type !== undefined && !kinds.includes(type)) throw foreign(`<${name}> of type ${type}`);
  // Where its picture is shown is a way in.
  if (name === "graphics") same("<graphics>", plain(device), own.map(plain)[0]);
}

/** In another format its guest would write what the host reads as the disk's own head, and the files that it names. */
function checkDisk(disk: XmlNode, ours: XmlNode): void {
  const at = (node: XmlNode) => attributesOf(only(node, "target"))["dev"];
  const own = named(childrenOf(ours), "disk").find((each) => at(each) === at(disk));
  if (own === undefined) throw foreign(`a disk ${at(disk)}`);
  for (const name of ["type", "device"])
    same(`<disk ${name}>`, attributesOf(disk)[name], attributesOf(own)[name]);
  same("<driver>", plain(only(disk, "driver")), plain(only(own, "driver")));
  onlyKnown(disk, own, ["address", "alias", "readonly", "source"]);
}

/** All that plugs it in, filters it and limits it on the host is as this host has it. */
function checkCard(card: XmlNode, ours: XmlNode): void {
  const own = named(childrenOf(ours), "interface").find((each) => macOf(each) === macOf(card));
  if (own === undefined) throw foreign(`a NIC ${macOf(card)}`);
  same("<interface>", attributesOf(card)["type"], attributesOf(own)["type"]);
  const onHost = (node: XmlNode) =>
    elementsOf(node)
      .filter((child) => !OF_GUEST.has(nameOf(child)))
      .map(plain)
      .toSorted()
      .join("");
  same("<interface>", onHost(card), onHost(own));
}

/** Without the spaces that stand between elements, and with attributes in one order. */
function plain(node: XmlNode): string {
  const attributes = Object.entries(attributesOf(node)).toSorted(([one], [other]) =>
    one < other ? -1 : 1,
  );
  return JSON.stringify([
    nameOf(node),
    attributes,
    textOf(node).trim(),
    elementsOf(node).map(plain),
  ]);
}

const elementsOf = (node: XmlNode): XmlNode[] => without(childrenOf(node), "#text");

function onlyKnown(incoming: XmlNode, own: XmlNode, added: readonly string[]): void {
  const known = new Set([...added, ...childrenOf(own).map(nameOf)]);
  for (const child of elementsOf(incoming))
    if (!known.has(nameOf(child))) throw foreign(`<${nameOf(child)}>`);
}

/** What an element and all in it name of the host's, and besides every value that is a path, wherever it stands. */
function hostSide(node: XmlNode): readonly string[] {
  const text = childrenOf(node).map((child) => child["#text"]);
  const values = [
    ...Object.entries(attributesOf(node)),
    ...text.flatMap((each): [string, string][] =>
      typeof each === "string" && each.trim() !== "" ? [["#text", each.trim()]] : [],
    ),
  ];
  const names = values.flatMap(([name, value]) => {
    const isNamed = HOST_SIDE.has(nameOf(node)) && !NAMES_NOTHING.has(name);
    return isNamed || value.startsWith("/") ? [value] : [];
  });
  return [...names, ...elementsOf(node).flatMap(hostSide)];
}

const isQemus = (path: string): boolean =>
  !path.includes("..") && QEMUS.some((of) => of.test(path));
const macOf = (card: XmlNode): string => attributesOf(only(card, "mac"))["address"] ?? "";
const textIn = (node: XmlNode, name: string): string => textOf(only(node, name));

/** The definition that is to last; null: the cookie brings none. */
export function domainInCookie(cookie: string): string | null {
  const text = cookie.replace(/\0+$/, "");
  if (text === "") return null;
  if (AMBIGUOUS.test(text)) throw foreign("something that libvirt does not write");
  const [root, ...more] = parseXml(text);
  if (root === undefined || nameOf(root) !== "qemu-migration" || more.length > 0)
    throw foreign("a cookie that is none of QEMU's");
  const [domain, ...others] = named(childrenOf(root), "domain");
  if (others.length > 0) throw foreign("two definitions");
  return domain === undefined ? null : toXml(domain);
}

function same(what: string, found: string | undefined, wanted: string | undefined): void {
  if (found !== wanted) throw foreign(`another ${what}`);
}

const foreign = (what: string) =>
  new DriverError("unsupported", `the source's definition has what this host's has not: ${what}`);
