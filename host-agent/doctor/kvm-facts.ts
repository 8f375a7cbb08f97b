import type { KvmNetwork } from "#host-agent/drivers/kvm/domain-xml.ts";
import type { HostFirmware } from "#host-agent/drivers/kvm/firmware.ts";
import type { Looked } from "./check.ts";

export type FolderSeen = Readonly<{
  path: string;
  /** What of it is missing is null. */
  at: { mode: number; device: number } | null;
  /** The first folder on the way that QEMU's user cannot enter; null: it can enter all. */
  closed: string | null;
}>;

/** What a doctor saw of a KVM host. */
export type KvmFacts = Readonly<{
  emulationAllowed: boolean;
  network: KvmNetwork;
  reserveDiskMib: number;
  /** Those that are not there, with the Debian package that brings each. */
  missingPrograms: Looked<readonly { program: string; package: string }[]>;
  hasCpuFlags: Looked<boolean>;
  /** null: there is none. */
  kvmDevice: Looked<{ mode: number } | null>;
  accelerator: Looked<"hardware" | "tcg">;
  /** What `virsh version` says. */
  libvirt: Looked<string>;
  /** Sockets that are there. */
  sockets: Looked<{ libvirt: boolean; virtlogd: boolean }>;
  /** Why VMs cannot be plugged in; null: they can. */
  networkFault: Looked<string | null>;
  /** VLANs whose bridge is not there. */
  missingVlans: Looked<readonly string[]>;
  hasSfq: Looked<boolean>;
  hasSpoofFilter: Looked<boolean>;
  /** That ebtables lists its rules: null, or what it said. */
  ebtables: Looked<null>;
  /** image, disk, seed, console, trash. */
  folders: Looked<Folders>;
  looseFiles: Looked<readonly string[]>;
  space: Looked<{ freeMib: number; freeInodes: number; inodes: number }>;
  /** `missing`: what VMs of this host were made of, or are to be. */
  images: Looked<{ good: readonly string[]; bad: readonly string[]; missing: readonly string[] }>;
  /** Images that are another file than they were. */
  changedImages: Looked<readonly string[]>;
  firmware: Looked<{ has: HostFirmware; wanted: { uefi: boolean; secureBoot: boolean } }>;
  /** What confines QEMU: what the kernel has, and what libvirt uses. */
  confinement: Looked<{ kernel: readonly string[]; libvirt: readonly string[] }>;
  /** Folders whose SELinux label QEMU may not use; none where it is not enforced. */
  mislabelled: Looked<readonly string[]>;
}>;
export type Folders = Readonly<Record<"image" | "disk" | "seed" | "console" | "trash", FolderSeen>>;
