import { statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import { CAPABILITIES, missingOf } from "../capabilities.ts";
import { readHostCpu } from "./host-cpu.ts";
import { tightenFiles } from "./file-rights.ts";
import { readImages } from "./images.ts";
import type { KvmHost } from "./host.ts";
import { readOsVersion } from "./os-version.ts";

const MIB = 1024 ** 2;
const GIB = 1024n ** 3n;
const NO_SECURE_BOOT =
  "no descriptor of QEMU's names a UEFI with secure boot and Microsoft's keys for q35, such as package ovmf has";

/** What this host is and can do. As it is asked for again and again, the rights of VMs' files are mended with it. */
export async function readHostFacts(host: KvmHost, signal?: AbortSignal): Promise<HostFacts> {
  await mendRights(host);
  const [version, osVersion, accelerator, bandwidthLimit, firmware, disks, images] =
    await Promise.all([
      host.libvirt.run(["version"], { signal }),
      readOsVersion(),
      host.accelerator(signal),
      host.limitsBandwidth(),
      host.firmware(),
      statfs(host.folders.diskDir, { bigint: true }),
      readImages(host.folders).then((files) => host.shelf.describe(files)),
    ]);
  const cpu = await readHostCpu(host, accelerator, signal);
  const qemu = /Running hypervisor: (.+)/.exec(version)?.[1] ?? "QEMU of unknown version";
  const libvirt = /Using library: (.+)/.exec(version)?.[1] ?? "libvirt of unknown version";
  const capabilities = {
    ...CAPABILITIES.kvm,
    bandwidthLimit,
    uefi: firmware.uefi,
    secureBoot: firmware.secureBoot,
    secureBootUefiCa: firmware.secureBoot,
    emulation: host.emulationAllowed,
  };
  return {
    hypervisor: "kvm",
    hypervisorVersion: `${qemu}, ${libvirt}`.slice(0, 200),
    osVersion,
    accelerator,
    capabilities,
    missing: missingOf("kvm", capabilities, {
      bandwidthLimit:
        host.network.kind === "user"
          ? "a network of the kind `user` limits nothing"
          : "the kernel has no sch_sfq",
      uefi: "no descriptor of QEMU's names a UEFI without secure boot for q35, such as package ovmf has",
      secureBoot: NO_SECURE_BOOT,
      secureBootUefiCa: NO_SECURE_BOOT,
    }),
    cpuThreads: availableParallelism(),
    memoryMib: Math.floor(totalmem() / MIB),
    diskGib: Number((disks.blocks * disks.bsize) / GIB),
    agentVersion: host.agentVersion,
    images,
    ...(cpu && { cpu }),
    vlans: vlansOf(host.network),
  };
}

/** Without a bridge of its own no VLAN leads here. */
const vlansOf = (network: KvmHost["network"]): number[] =>
  network.kind === "bridge" ? Object.keys(network.vlans ?? {}).map(Number) : [];

/** Files of before Berth cared, and what somebody put back from a copy. What cannot be mended is told, and costs nothing else. */
async function mendRights({ folders, log }: KvmHost): Promise<void> {
  try {
    const files = await tightenFiles(folders);
    if (files.length > 0) log.info("file_rights_mended", { count: files.length, files });
  } catch (error) {
    log.error("file_rights_failed", { error: String(error) });
  }
}
