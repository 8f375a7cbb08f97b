import { access, constants, readdir, readFile, stat, statfs } from "node:fs/promises";
import path from "node:path";
import type { z } from "zod";
import type { ReadDocument } from "#host-agent/converge/read-document.ts";
import { detectAccelerator } from "#host-agent/drivers/kvm/accelerator.ts";
import { listBridgeRules } from "#host-agent/drivers/kvm/bridge-rules.ts";
import { looseFiles } from "#host-agent/drivers/kvm/file-rights.ts";
import { exists } from "#host-agent/drivers/kvm/files.ts";
import { FIRMWARE_FOLDERS, readFirmware } from "#host-agent/drivers/kvm/firmware.ts";
import { DEFAULT_RESERVE_MIB, kernelHasSfq } from "#host-agent/drivers/kvm/host.ts";
import { readImages } from "#host-agent/drivers/kvm/images.ts";
import { createVirsh, type Libvirt } from "#host-agent/drivers/kvm/libvirt.ts";
import { ProgramFailed, runProgram } from "#host-agent/drivers/kvm/run-program.ts";
import { changedImages } from "#host-agent/drivers/image-shelf.ts";
import type { KvmConfig } from "#host-agent/drivers/open-driver.ts";
import { fileStore } from "#host-agent/state/state-store.ts";
import { look, seen } from "./check.ts";
import { orNull, seeFolders } from "./kvm-folders.ts";
import type { KvmFacts } from "./kvm-facts.ts";

type Config = z.infer<typeof KvmConfig>;

/** A doctor must end, whatever hangs. */
const LIMIT_MS = 10_000;
const PROGRAMS = {
  virsh: "libvirt-clients",
  "qemu-img": "qemu-utils",
  "qemu-system-x86_64": "qemu-system-x86",
  genisoimage: "genisoimage",
  ebtables: "ebtables",
};

/** Gathers what `judgeKvm` judges. `desired`: what this host's VMs are to be, as far as it is known. */
export async function examineKvm(
  config: Config,
  desired: ReadDocument | null,
  root: string,
): Promise<KvmFacts> {
  const { network, emulationAllowed } = config;
  const at = (...parts: string[]) => path.join(root, ...parts);
  const libvirt = limited(createVirsh(config.uri));
  const isPlugged = network.kind !== "user";
  const cpuinfo = () => readFile(at("proc/cpuinfo"), "utf8");

  // All at once: a libvirt that hangs is waited for once.
  const [
    missing,
    hasCpuFlags,
    kvmDevice,
    accelerator,
    version,
    sockets,
    fault,
    vlans,
    hasSfq,
    hasSpoofFilter,
    ebtables,
    folders,
    loose,
    space,
    images,
    changed,
    firmware,
    confinement,
    mislabelled,
  ] = await Promise.all([
    look(() => missingPrograms(isPlugged)),
    look(async () => /^flags\s*:.*\b(vmx|svm)\b/m.test(await cpuinfo())),
    look(() => orNull(async () => ({ mode: (await stat(at("dev/kvm"))).mode }))),
    look(() => detectAccelerator(libvirt, undefined, cpuinfo)),
    look(() => libvirt.run(["version"])),
    look(() => socketsIn(at("run/libvirt"))),
    look(() => networkFault(config, libvirt, root)),
    look(() => missingVlans(config, root)),
    isPlugged ? look(() => kernelHasSfq(root)) : seen(false),
    isPlugged ? look(() => hasFilter(libvirt)) : seen(false),
    isPlugged ? look(listRules) : seen(null),
    look(() => seeFolders(config)),
    look(() => looseFiles(config)),
    look(() => spaceIn(config.diskDir)),
    look(() => sortImages(config, desired)),
    look(() => changedImages(fileStore(config.diskDir, { durable: false }))),
    look(async () => ({
      has: await readFirmware(FIRMWARE_FOLDERS.map((folder) => at(folder))),
      wanted: wantedFirmware(desired),
    })),
    look(() => confinementOf(libvirt, root)),
    look(async () => ((await isEnforced(root)) ? await mislabelledIn(config) : [])),
  ]);
  return {
    emulationAllowed,
    network,
    reserveDiskMib: config.reserveDiskMib ?? DEFAULT_RESERVE_MIB,
    missingPrograms: missing,
    hasCpuFlags,
    kvmDevice,
    accelerator,
    libvirt: version,
    sockets,
    networkFault: fault,
    missingVlans: vlans,
    hasSfq,
    hasSpoofFilter,
    ebtables,
    folders,
    looseFiles: loose,
    space,
    images,
    changedImages: changed,
    firmware,
    confinement,
    mislabelled,
  };
}

async function socketsIn(folder: string): Promise<{ libvirt: boolean; virtlogd: boolean }> {
  const names = new Set<string>(await readdir(folder).catch(() => []));
  const has = (...any: string[]) => any.some((name) => names.has(name));
  return { libvirt: has("libvirt-sock", "virtqemud-sock"), virtlogd: has("virtlogd-sock") };
}

async function spaceIn(folder: string) {
  const { bavail, bsize, files, ffree } = await statfs(folder);
  return { freeMib: Math.floor((bavail * bsize) / 1024 ** 2), freeInodes: ffree, inodes: files };
}

async function confinementOf(libvirt: Libvirt, root: string) {
  const capabilities = await libvirt.run(["capabilities"]);
  const apparmor = await readFile(
    path.join(root, "sys/module/apparmor/parameters/enabled"),
    "utf8",
  ).catch(() => "N");
  return {
    kernel: [
      ...(apparmor.startsWith("Y") ? ["apparmor"] : []),
      ...((await isEnforced(root)) ? ["selinux"] : []),
    ],
    libvirt: [...capabilities.matchAll(/<model>(\w+)<\/model>/g)].flatMap(
      ([, model]) => model ?? [],
    ),
  };
}

async function missingPrograms(isPlugged: boolean) {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter).filter(Boolean);
  const missing: { program: string; package: string }[] = [];
  for (const [program, its] of Object.entries(PROGRAMS)) {
    if (program === "ebtables" && !isPlugged) continue;
    const found = await Promise.all(
      folders.map((folder) =>
        access(path.join(folder, program), constants.X_OK).then(
          () => true,
          () => false,
        ),
      ),
    );
    if (!found.includes(true)) missing.push({ program, package: its });
  }
  return missing;
}

async function networkFault({ network }: Config, libvirt: Libvirt, root: string) {
  if (network.kind === "user") return null;
  if (network.kind === "bridge") return bridgeFault(network.name, root);
  try {
    const info = await libvirt.run(["net-info", network.name]);
    return /^Active:\s+yes$/m.test(info) ? null : `the network ${network.name} is not active`;
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    return `libvirt has no network ${network.name}`;
  }
}

/** https://docs.kernel.org/networking/bridge.html: only a bridge has this folder. */
async function bridgeFault(name: string, root: string): Promise<string | null> {
  const device = path.join(root, "sys/class/net", name);
  if (!(await exists(device))) return `there is no ${name}`;
  if (!(await exists(path.join(device, "bridge")))) return `${name} is no bridge`;
  const state = await readFile(path.join(device, "operstate"), "utf8").catch(() => "unknown");
  return state.trim() === "down" && !(await isUp(device)) ? `the bridge ${name} is down` : null;
}

/** A bridge that nobody is plugged into yet shows no carrier: IFF_UP is what was asked of it. */
async function isUp(device: string): Promise<boolean> {
  const flags = await readFile(path.join(device, "flags"), "utf8").catch(() => "0x0");
  return (Number(flags.trim()) & 1) === 1;
}

async function missingVlans({ network }: Config, root: string): Promise<string[]> {
  if (network.kind !== "bridge") return [];
  const faults = await Promise.all(
    Object.entries(network.vlans).map(async ([vlan, bridge]) => {
      const fault = await bridgeFault(bridge, root);
      return fault === null ? [] : [`${vlan} (${fault})`];
    }),
  );
  return faults.flat();
}

async function hasFilter(libvirt: Libvirt): Promise<boolean> {
  return /\bclean-traffic\s*$/m.test(await libvirt.run(["nwfilter-list"]));
}

async function listRules(): Promise<null> {
  await listBridgeRules({ timeoutMs: LIMIT_MS });
  return null;
}

async function sortImages(
  config: Config,
  desired: ReadDocument | null,
): Promise<{ good: string[]; bad: string[]; missing: string[] }> {
  const good = (await readImages(config)).map(({ file }) => file);
  const ending = ".qcow2";
  const all = (await readdir(config.imageDir))
    .filter((name) => name.endsWith(ending))
    .map((name) => path.basename(name, ending));
  const wanted = new Set((desired?.vms ?? []).map(({ image }) => image.file));
  return {
    good,
    bad: all.filter((name) => !good.includes(name)),
    missing: [...wanted].filter((name) => !all.includes(name)),
  };
}

function wantedFirmware(desired: ReadDocument | null): { uefi: boolean; secureBoot: boolean } {
  const images = (desired?.vms ?? []).map(({ image }) => image);
  const secure = ({ secureBoot }: (typeof images)[number]) =>
    secureBoot !== undefined && secureBoot !== "off";
  return {
    uefi: images.some((image) => image.firmware === "uefi" && !secure(image)),
    secureBoot: images.some(secure),
  };
}

const isEnforced = async (root: string): Promise<boolean> =>
  (await readFile(path.join(root, "sys/fs/selinux/enforce"), "utf8").catch(() => "0")).startsWith(
    "1",
  );

/** `virt_image_t` is what the policy lets QEMU's guests be labelled from; `virt_content_t` is read only. */
async function mislabelledIn(config: Config): Promise<string[]> {
  const folders = [config.imageDir, config.diskDir, config.seedDir];
  const labels = await Promise.all(
    folders.map(async (folder) => {
      const label = await runProgram("stat", ["--printf", "%C", folder], { timeoutMs: LIMIT_MS });
      return /:(virt_image_t|virt_content_t|svirt_image_t)(:|$)/.test(label)
        ? []
        : [`${folder} (${label})`];
    }),
  );
  return labels.flat();
}

/** The same, within a doctor's patience. */
function limited(libvirt: Libvirt): Libvirt {
  return {
    run: (args, call) => libvirt.run(args, { timeoutMs: LIMIT_MS, ...call }),
    read: (commands, call) => libvirt.read(commands, { timeoutMs: LIMIT_MS, ...call }),
    readThen: (commands, last, call) =>
      libvirt.readThen(commands, last, { timeoutMs: LIMIT_MS, ...call }),
  };
}
