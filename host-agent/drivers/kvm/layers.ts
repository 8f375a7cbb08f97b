import { open, readdir, realpath } from "node:fs/promises";
import path from "node:path";
import { XMLParser } from "fast-xml-parser";
import type { KvmHost } from "./host.ts";
import type { Owned } from "./look.ts";
import { ProgramFailed } from "./run-program.ts";
import { tagOfFile } from "./tag.ts";

/*
 * Others put layers over a VM's disk (`virsh snapshot-create-as --disk-only`, backup programs), under names of their own.
 * They hold what the guest wrote since, so they go where its disk goes.
 */

type Layers = Readonly<{
  /** In the disk folder, the lowest first: what is left of a chain after a crash hangs together from its top. */
  inside: readonly string[];
  /** Elsewhere: not the driver's to touch. */
  outside: readonly string[];
}>;

/** The files besides its own that a VM's data lie in. Images, and what another VM's files or definition name, are none. */
export async function foreignLayers(
  host: KvmHost,
  domain: Owned,
  signal?: AbortSignal,
): Promise<Layers> {
  const { diskDir, imageDir } = host.folders;
  const [disks, images] = await Promise.all([realpath(diskDir), realpath(imageDir)]);
  const named = await namedFiles(host, domain, signal);
  const chains = await Promise.all(named.map((file) => chainOf(file, disks, images)));
  const found = new Set(chains.flat());
  for (const file of await layersOver(found, domain, disks)) found.add(file);

  const layers = [...found].filter((file) => tagOfFile(path.basename(file)) === null);
  const inside = layers.filter((file) => isIn(disks, file));
  const others = inside.length > 0 ? await filesOfOthers(host, domain, signal) : new Set<string>();
  return {
    inside: inside.filter((file) => !others.has(file)).toReversed(),
    outside: layers.filter((file) => !isIn(disks, file)),
  };
}

/** Every file of its disks that its definition, the one of its next start, and its snapshots name. */
async function namedFiles(host: KvmHost, domain: Owned, signal?: AbortSignal): Promise<string[]> {
  const { libvirt } = host;
  const files = filesIn(domain.xml);
  try {
    files.push(...filesIn(await libvirt.run(["dumpxml", domain.uuid, "--inactive"], { signal })));
    const list = await libvirt.run(["snapshot-list", domain.uuid, "--name"], { signal });
    for (const name of list.split("\n").filter(Boolean)) {
      const snapshot = ["snapshot-dumpxml", domain.uuid, "--snapshotname", name];
      files.push(...filesIn(await libvirt.run(snapshot, { signal })));
    }
  } catch (error) {
    // A snapshot that went away meanwhile, or one of a kind that libvirt does not read back: the rest counts.
    if (!(error instanceof ProgramFailed) || signal?.aborted) throw error;
    host.log.error("snapshots_unread", { vm_id: domain.uuid, error: error.message });
  }
  return [...new Set(files)];
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => name === "disk",
});

/** The files of disks, and of memories, in a domain's or a snapshot's XML. What lies in a drive (a seed) is none. */
export function filesIn(xml: string): string[] {
  const files: string[] = [];
  const walk = (node: unknown, name: string) => {
    if (typeof node !== "object" || node === null) return;
    if (Array.isArray(node)) {
      for (const one of node) walk(one, name);
      return;
    }
    const fields: Record<string, unknown> = { ...node };
    if (name === "disk" && (fields["@device"] ?? "disk") !== "disk") return;
    const file = fields["@file"];
    if ((name === "source" || name === "memory") && typeof file === "string") files.push(file);
    for (const [key, value] of Object.entries(fields)) if (key !== "serial") walk(value, key);
  };
  walk(parser.parse(xml), "");
  return files.filter((file) => path.isAbsolute(file));
}

/** A file and what lies under it, as far as the disk folder goes: the first file elsewhere ends it, and an image before. */
async function chainOf(file: string, disks: string, images: string): Promise<string[]> {
  const chain: string[] = [];
  for (let next: string | null = file; next !== null;) {
    const at: string | null = await realpath(next).catch(() => null);
    if (at === null || isIn(images, at) || chain.includes(at)) break;
    chain.push(at);
    next = isIn(disks, at) ? await backingFileOf(at) : null;
  }
  return chain;
}

/** Layers in the disk folder that nobody's definition names any more, and that lie over one of these files or the VM's own. */
async function layersOver(
  files: ReadonlySet<string>,
  domain: Owned,
  disks: string,
): Promise<string[]> {
  const isOwn = (file: string) => tagOfFile(path.basename(file))?.vmId === domain.uuid;
  const under = new Map<string, string>();
  for (const name of await readdir(disks)) {
    const file = path.join(disks, name);
    if (tagOfFile(name) !== null || files.has(file)) continue;
    const backing = await backingFileOf(file).catch(() => null);
    const at = backing && (await realpath(backing).catch(() => backing));
    if (at !== null) under.set(file, at);
  }
  const over: string[] = [];
  for (let before = -1; before !== over.length;) {
    before = over.length;
    for (const [file, backing] of under)
      if (files.has(backing) || isOwn(backing) || over.includes(backing)) {
        over.push(file);
        under.delete(file);
      }
  }
  // The highest first, as in a chain that is followed down.
  return over.toReversed();
}

/** What other definitions on this host name: somebody may have made a machine of a layer. */
async function filesOfOthers(
  host: KvmHost,
  domain: Owned,
  signal?: AbortSignal,
): Promise<ReadonlySet<string>> {
  const others = (await host.look.all(signal)).filter(({ uuid }) => uuid !== domain.uuid);
  const files = others.flatMap(({ xml }) => filesIn(xml));
  return new Set(await Promise.all(files.map((file) => realpath(file).catch(() => file))));
}

const isIn = (folder: string, file: string): boolean => {
  const from = path.relative(folder, file);
  return from !== "" && !from.startsWith("..") && !path.isAbsolute(from);
};

const QCOW2_MAGIC = 0x51_46_49_fb;
/** https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst */
const LONGEST_NAME = 1023;

/** The file that a qcow2 lies on, absolute; null for none, and for what is no file (`json:`, `nbd://`). */
export async function backingFileOf(file: string): Promise<string | null> {
  const disk = await open(file, "r");
  try {
    const head = await disk.read({ buffer: Buffer.alloc(20), position: 0 });
    if (head.bytesRead < 20 || head.buffer.readUInt32BE(0) !== QCOW2_MAGIC) return null;
    const offset = head.buffer.readBigUInt64BE(8);
    const length = head.buffer.readUInt32BE(16);
    if (offset === 0n || length === 0 || length > LONGEST_NAME) return null;
    const name = await disk.read({ buffer: Buffer.alloc(length), position: offset });
    const text = name.buffer.toString("utf8", 0, name.bytesRead);
    if (text.includes("\0") || /^[a-z][a-z0-9+.-]*:/i.test(text)) return null;
    return path.resolve(path.dirname(file), text);
  } finally {
    await disk.close();
  }
}
