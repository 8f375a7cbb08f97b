import { readFile, rm, writeFile } from "node:fs/promises";
import { release } from "node:os";
import path from "node:path";
import type { Clock, Log } from "#core/ports.ts";
import { fileStore } from "#host-agent/state/state-store.ts";
import { DriverError, type InstallationId, type VmRef } from "../driver.ts";
import { createFindings, type Findings } from "../findings.ts";
import { createImageShelf, type ImageShelf } from "../image-shelf.ts";
import { detectAccelerator } from "./accelerator.ts";
import { readBootEpoch } from "./boot-epoch.ts";
import type { KvmNetwork } from "./domain-xml.ts";
import { createEvidenceReader, type EvidenceReader } from "./guest-evidence.ts";
import { readFirmware, type HostFirmware } from "./firmware.ts";
import { exists, filesOf, type Folders } from "./files.ts";
import { createVirsh, type Libvirt } from "./libvirt.ts";
import { createLook, type Look, type Owned } from "./look.ts";
import { checkOwner } from "./tag.ts";

export const DEFAULT_RESERVE_MIB = 1024;
/** See `live-sockets.ts`. */
const DEFAULT_SOCKET_DIR = "/var/lib/libvirt/qemu/berth-moves";

export type KvmOptions = Folders &
  Readonly<{
    /** `qemu:///system` on a host. */
    uri: string;
    network: KvmNetwork;
    /** Lets guests run under emulation where there is no hardware for them: slow, for tests only. */
    emulationAllowed: boolean;
    agentVersion: string;
    clock: Clock;
    log: Log;
    /** Where libvirt keeps the state of running domains. */
    runDir?: string;
    /** Where the host's UEFI is described. */
    firmwareDirs?: readonly string[];
    /** A new disk is refused when it would find less than this free. */
    reserveDiskMib?: number;
    libvirt?: Libvirt;
    /** Left out: it knows none. */
    installation?: InstallationId;
    /** Where the sockets of live moves lie, as libvirt names it: the same on both hosts of a move. */
    socketDir?: string;
    /** Where this process finds the file system that libvirt lives in; left out: it is its own. */
    root?: string;
  }>;

/** What every operation of the driver works with. */
export type KvmHost = Readonly<{
  libvirt: Libvirt;
  look: Look;
  evidence: EvidenceReader;
  findings: Findings;
  /** By VM, when its saved memory first failed to be restored (milliseconds since 1970). */
  restoreFailures: Map<string, number>;
  shelf: ImageShelf;
  clock: Clock;
  log: Log;
  folders: Folders;
  network: KvmNetwork;
  runDir: string;
  uri: string;
  socketDir: string;
  root: string;
  agentVersion: string;
  installation: InstallationId;
  emulationAllowed: boolean;
  reserveDiskMib: number;
  accelerator: (signal?: AbortSignal) => Promise<"hardware" | "tcg">;
  limitsBandwidth: () => Promise<boolean>;
  firmware: () => Promise<HostFirmware>;
  /**
   * The VM as it is, when it is the caller's; null: positively not defined. Throws `not_ours`, `stale_epoch`.
   */
  owned: (ref: VmRef, signal?: AbortSignal) => Promise<Owned | null>;
  /** Defines, or redefines, a domain. */
  define: (vm: VmRef, xml: string, signal?: AbortSignal) => Promise<void>;
  /** Runs a command that reads its XML from a file only; the command ends in it. */
  runWithXml: (
    vm: VmRef,
    command: readonly string[],
    xml: string,
    signal?: AbortSignal,
  ) => Promise<void>;
}>;

export function openKvmHost(options: KvmOptions): KvmHost {
  const { clock, log, network } = options;
  const libvirt = options.libvirt ?? createVirsh(options.uri);
  const installation = options.installation ?? (() => null);
  const runDir = options.runDir ?? "/run/libvirt/qemu";
  const lives = async (vmId: string) => (await readBootEpoch(runDir, vmId)) !== null;
  const look = createLook({ libvirt, clock, installation, lives });
  let accelerator: Promise<"hardware" | "tcg"> | undefined;
  return {
    libvirt,
    look,
    evidence: createEvidenceReader({ libvirt, clock }),
    findings: createFindings(log),
    restoreFailures: new Map(),
    shelf: createImageShelf({ store: fileStore(options.diskDir, { durable: true }), log }),
    clock,
    log,
    folders: options,
    network,
    runDir,
    uri: options.uri,
    socketDir: options.socketDir ?? DEFAULT_SOCKET_DIR,
    root: options.root ?? "/",
    agentVersion: options.agentVersion,
    installation,
    emulationAllowed: options.emulationAllowed,
    reserveDiskMib: options.reserveDiskMib ?? DEFAULT_RESERVE_MIB,
    accelerator: async (signal) => {
      // Hardware does not come and go; a failed question is asked again.
      accelerator ??= detectAccelerator(libvirt, signal);
      try {
        return await accelerator;
      } catch (error) {
        accelerator = undefined;
        throw error;
      }
    },
    firmware: () => readFirmware(options.firmwareDirs),
    limitsBandwidth: async () => network.kind !== "user" && (await kernelHasSfq()),
    owned: async (ref, signal) => {
      const domain = await look.one(ref.vmId, signal);
      if (domain === null) return null;
      if (domain.own === null)
        throw new DriverError(
          "not_ours",
          domain.foreign
            ? `domain ${domain.uuid} is another Berth's`
            : `domain ${domain.uuid} does not bear Berth's tag`,
        );
      checkOwner(domain.own.tag, ref);
      return { ...domain, own: domain.own };
    },
    define: (vm, xml, signal) => runWithXml(vm, ["define"], xml, signal),
    runWithXml,
  };

  async function runWithXml(
    vm: VmRef,
    command: readonly string[],
    xml: string,
    signal?: AbortSignal,
  ): Promise<void> {
    // It bears the VM's tag, should a crash leave it behind.
    const file = filesOf(options, vm).definition;
    try {
      await writeFile(file, xml, { mode: 0o600 });
      await libvirt.run([...command, file], { signal });
    } finally {
      await rm(file, { force: true });
    }
  }
}

/** libvirt shapes traffic with the queueing discipline sfq, which small kernels leave out. `root`: of the host's files. */
export async function kernelHasSfq(root = "/"): Promise<boolean> {
  if (await exists(path.join(root, "sys/module/sch_sfq"))) return true;
  const modules = path.join(root, "lib/modules", release());
  const lists = await Promise.all(
    ["modules.builtin", "modules.dep"].map((list) =>
      readFile(`${modules}/${list}`, "utf8").catch(() => ""),
    ),
  );
  return lists.some((list) => list.includes("/sch_sfq.ko"));
}
