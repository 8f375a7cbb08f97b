import { access, chmod, constants, mkdir, readdir, readFile, stat, statfs } from "node:fs/promises";
import path from "node:path";
import type { z } from "zod";
import type { ReadDocument } from "#host-agent/converge/read-document.ts";
import { detectAccelerator } from "#host-agent/drivers/kvm/accelerator.ts";
import { looseFiles, tightenFiles } from "#host-agent/drivers/kvm/file-rights.ts";
import { exists } from "#host-agent/drivers/kvm/files.ts";
import { FIRMWARE_FOLDERS, readFirmware } from "#host-agent/drivers/kvm/firmware.ts";
import { DEFAULT_RESERVE_MIB, kernelHasSfq } from "#host-agent/drivers/kvm/host.ts";
import { readImages } from "#host-agent/drivers/kvm/images.ts";
import { createVirsh, type Libvirt } from "#host-agent/drivers/kvm/libvirt.ts";
import { errnoOf, ProgramFailed, runProgram } from "#host-agent/drivers/kvm/run-program.ts";
import { changedImages } from "#host-agent/drivers/image-shelf.ts";
import type { KvmConfig } from "#host-agent/drivers/open-driver.ts";
import { fileStore } from "#host-agent/state/state-store.ts";
import { look, seen } from "./check.ts";
import { isOpen, type FolderSeen, type Folders, type KvmFacts } from "./judge-kvm.ts";

type Config = z.infer<typeof KvmConfig>;
type FolderName = keyof Folders;

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
  const text = (file: string) => readFile(file, "utf8");
  const cpuinfo = () => text(at("proc/cpuinfo"));

  const folders = look(() => seeFolders(config));
  return {
    emulationAllowed,
    network,
    reserveDiskMib: config.reserveDiskMib ?? DEFAULT_RESERVE_MIB,
    missingPrograms: await look(() => missingPrograms(isPlugged)),
    hasCpuFlags: await look(async () => /^flags\s*:.*\b(vmx|svm)\b/m.test(await cpuinfo())),
    kvmDevice: await look(() => orNull(async () => ({ mode: (await stat(at("dev/kvm"))).mode }))),
    accelerator: await look(() => detectAccelerator(libvirt, undefined, cpuinfo)),
    libvirt: await look(() => libvirt.run(["version"])),
    sockets: await look(async () => {
      const names = new Set<string>(await readdir(at("run/libvirt")).catch(() => []));
      const has = (...any: string[]) => any.some((name) => names.has(name));
      return { libvirt: has("libvirt-sock", "virtqemud-sock"), virtlogd: has("virtlogd-sock") };
    }),
    networkFault: await look(() => networkFault(config, libvirt, root)),
    missingVlans: await look(() => missingVlans(config, root)),
    hasSfq: isPlugged ? await look(() => kernelHasSfq(root)) : seen(false),
    hasSpoofFilter: isPlugged ? await look(() => hasFilter(libvirt)) : seen(false),
    ebtables: isPlugged ? await look(listRules) : seen(null),
    folders: await folders,
    looseFiles: await look(() => looseFiles(config)),
    space: await look(async () => {
      const { bavail, bsize, files, ffree } = await statfs(config.diskDir);
      return {
        freeMib: Math.floor((bavail * bsize) / 1024 ** 2),
        freeInodes: ffree,
        inodes: files,
      };
    }),
    images: await look(() => sortImages(config)),
    changedImages: await look(() => changedImages(fileStore(config.diskDir, { durable: false }))),
    firmware: await look(async () => ({
      has: await readFirmware(FIRMWARE_FOLDERS.map((folder) => at(folder))),
      wanted: wantedFirmware(desired),
    })),
    confinement: await look(async () => {
      const capabilities = await libvirt.run(["capabilities"]);
      return {
        kernel: [
          ...((
            await text(at("sys/module/apparmor/parameters/enabled")).catch(() => "N")
          ).startsWith("Y")
            ? ["apparmor"]
            : []),
          ...((await isEnforced(root)) ? ["selinux"] : []),
        ],
        libvirt: [...capabilities.matchAll(/<model>(\w+)<\/model>/g)].flatMap(
          ([, model]) => model ?? [],
        ),
      };
    }),
    mislabelled: await look(async () =>
      (await isEnforced(root)) ? await mislabelled(config) : [],
    ),
  };
}

/** Missing folders and rights. Answers what it did, a sentence each. */
export async function fixKvm(config: Config): Promise<{ check: string; did: string }[]> {
  const done: { check: string; did: string }[] = [];
  const folders = await seeFolders(config);
  for (const [name, folder] of Object.entries(folders)) {
    if (folder.at === null) {
      const mode = name === "trash" ? 0o700 : 0o711;
      // Only beneath a folder that is there: a volume that is not mounted shall not be taken for an empty one.
      const made = await orNull(async () => {
        await mkdir(folder.path);
        // Whatever the umask takes away.
        await chmod(folder.path, mode);
        return true;
      });
      if (made === true)
        done.push({ check: "folders", did: `made ${folder.path} (0${mode.toString(8)})` });
    } else if (isOpen(folder.at.mode)) {
      await chmod(folder.path, folder.at.mode & 0o7777 & ~0o006);
      done.push({ check: "folder-rights", did: `took ${folder.path} from others` });
    }
  }
  const files = await look(() => tightenFiles(config));
  if ("seen" in files && files.seen.length > 0)
    done.push({ check: "file-rights", did: `took ${files.seen.length} files from others` });
  return done;
}

async function seeFolders(config: Config): Promise<Folders> {
  const see = async (name: FolderName): Promise<FolderSeen> => {
    const folder = config[`${name}Dir`];
    const at = await orNull(async () => {
      const { mode, dev } = await stat(folder);
      return { mode, device: dev };
    });
    return { path: folder, at, closed: await closedOnTheWay(folder) };
  };
  return {
    image: await see("image"),
    disk: await see("disk"),
    seed: await see("seed"),
    console: await see("console"),
    trash: await see("trash"),
  };
}

/** The first folder from the top that only its owner enters; a folder's own group is taken to be QEMU's where it has setgid. */
async function closedOnTheWay(folder: string): Promise<string | null> {
  const parts = path.resolve(folder).split(path.sep);
  for (let length = 1; length <= parts.length; length++) {
    const at = parts.slice(0, length).join(path.sep) || path.sep;
    const mode = await orNull(async () => (await stat(at)).mode);
    if (mode === null) return null;
    const byGroup = (mode & 0o2010) === 0o2010;
    if ((mode & 0o001) === 0 && !byGroup) return at;
  }
  return null;
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
  await runProgram("ebtables", ["--concurrent", "-t", "nat", "-L"], { timeoutMs: LIMIT_MS });
  return null;
}

async function sortImages(config: Config): Promise<{ good: string[]; bad: string[] }> {
  const good = (await readImages(config)).map(({ file }) => file);
  const ending = ".qcow2";
  const all = (await readdir(config.imageDir))
    .filter((name) => name.endsWith(ending))
    .map((name) => path.basename(name, ending));
  return { good, bad: all.filter((name) => !good.includes(name)) };
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
async function mislabelled(config: Config): Promise<string[]> {
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
  };
}

async function orNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
}
