import type { HostFirmware } from "#host-agent/drivers/kvm/firmware.ts";
import type { KvmNetwork } from "#host-agent/drivers/kvm/domain-xml.ts";
import { judge, type Check, type Looked, type Verdict } from "./check.ts";

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
  images: Looked<{ good: readonly string[]; bad: readonly string[] }>;
  /** Images that are another file than they were. */
  changedImages: Looked<readonly string[]>;
  firmware: Looked<{ has: HostFirmware; wanted: { uefi: boolean; secureBoot: boolean } }>;
  /** What confines QEMU: what the kernel has, and what libvirt uses. */
  confinement: Looked<{ kernel: readonly string[]; libvirt: readonly string[] }>;
  /** Folders whose SELinux label QEMU may not use; none where it is not enforced. */
  mislabelled: Looked<readonly string[]>;
}>;
export type Folders = Readonly<Record<"image" | "disk" | "seed" | "console" | "trash", FolderSeen>>;

/** The oldest that Berth was tried on (Debian 12). */
const OLDEST_LIBVIRT = [9, 0] as const;
const FEW_INODES_PERCENT = 2;

/** Everything of a KVM host. Names are stable: scripts go by them. */
export function judgeKvm(facts: KvmFacts): Check[] {
  return [
    ...judgeHypervisor(facts),
    ...judgeNetwork(facts),
    ...judgeFolders(facts),
    ...judgeImages(facts),
  ];
}

function judgeHypervisor(facts: KvmFacts): Check[] {
  const { emulationAllowed } = facts;
  const emulates = (wrong: string, fix: string): Verdict =>
    emulationAllowed
      ? { fine: `${wrong}; emulation is allowed, which is for tests only` }
      : { wrong, fix };
  return [
    judge("programs", "the driver works through them", facts.missingPrograms, (missing) =>
      missing.length === 0
        ? { fine: "all are installed" }
        : {
            wrong: `missing: ${missing.map(({ program }) => program).join(", ")}`,
            fix: `apt-get install ${[...new Set(missing.map((one) => one.package))].join(" ")}`,
          },
    ),
    judge(
      "cpu-flags",
      "without VT-x or AMD-V guests are emulated, and sold to nobody",
      facts.hasCpuFlags,
      (has) =>
        has
          ? { fine: "vmx or svm" }
          : emulates(
              "the CPU shows neither vmx nor svm",
              "turn virtualisation on in the firmware's setup; in a VM, turn nested virtualisation on",
            ),
    ),
    judge("kvm-device", "QEMU reaches the hardware through it", facts.kvmDevice, (device) => {
      if (device === null)
        return emulates("/dev/kvm is not there", "modprobe kvm_intel or kvm_amd, and see dmesg");
      return (device.mode & 0o060) === 0o060
        ? { fine: "its group may use it" }
        : {
            wrong: "QEMU's user may not use /dev/kvm",
            fix: "chgrp kvm /dev/kvm && chmod 660 /dev/kvm (Debian's udev does it at boot)",
          };
    }),
    judge(
      "accelerator",
      "what libvirt will not run on hardware is emulated",
      facts.accelerator,
      (is) =>
        is === "hardware"
          ? { fine: "hardware" }
          : emulates("libvirt offers no hardware", "virt-host-validate qemu says what is missing"),
    ),
    judge("libvirt", "nothing happens to any VM without it", facts.libvirt, (version) => ({
      fine: version.trim().replaceAll(/\s*\n\s*/g, "; "),
    })),
    judge("libvirt-version", "older ones were not tried", facts.libvirt, (text) => {
      const [, version = "unknown", major, minor] =
        /Using library: libvirt ((\d+)\.(\d+)[.\d]*)/.exec(text) ?? [];
      const [leastMajor, leastMinor] = OLDEST_LIBVIRT;
      const isOld =
        Number(major) < leastMajor || (Number(major) === leastMajor && Number(minor) < leastMinor);
      return isOld || major === undefined
        ? {
            wrong: version,
            fix: `upgrade to ${OLDEST_LIBVIRT.join(".")} or newer (Debian 12 has it)`,
          }
        : { fine: version };
    }),
    judge(
      "libvirt-sockets",
      "the driver's programs talk to libvirt through it",
      facts.sockets,
      (has) =>
        has.libvirt
          ? { fine: "there" }
          : {
              wrong: "neither libvirt-sock nor virtqemud-sock is in /run/libvirt",
              fix: "systemctl enable --now libvirtd.socket (or virtqemud.socket)",
            },
    ),
    judge("virtlogd", "no VM starts without it: it writes the consoles", facts.sockets, (has) =>
      has.virtlogd
        ? { fine: "there" }
        : {
            wrong: "virtlogd-sock is not in /run/libvirt",
            fix: "systemctl enable --now virtlogd.socket",
          },
    ),
    judge(
      "confinement",
      "a guest that breaks out of QEMU meets nothing else",
      facts.confinement,
      ({ kernel, libvirt }) => {
        const unused = kernel.filter((one) => !libvirt.includes(one));
        if (kernel.length === 0) return { fine: "the kernel has neither AppArmor nor SELinux" };
        return unused.length === 0
          ? { fine: kernel.join(", ") }
          : {
              wrong: `the kernel has ${unused.join(", ")}, and libvirt does not use it`,
              fix: "take security_driver out of /etc/libvirt/qemu.conf, and restart libvirt",
            };
      },
    ),
  ];
}

function judgeNetwork(facts: KvmFacts): Check[] {
  const { network } = facts;
  const isPlugged = network.kind !== "user";
  const apart: Verdict = { fine: "QEMU's own network touches none of the host's" };
  return [
    judge("network", "VMs are plugged into it", facts.networkFault, (fault) => {
      if (!isPlugged) return apart;
      if (fault === null) return { fine: `${network.kind} ${network.name}` };
      return {
        wrong: fault,
        fix:
          network.kind === "bridge"
            ? `make the bridge (/etc/network/interfaces or netplan): ip link add ${network.name} type bridge`
            : `virsh net-start ${network.name} && virsh net-autostart ${network.name}`,
      };
    }),
    judge("vlans", "VMs of these VLANs are refused", facts.missingVlans, (missing) =>
      missing.length === 0
        ? { fine: "each has its bridge" }
        : { wrong: `no bridge for ${missing.join(", ")}`, fix: "make a bridge for each VLAN" },
    ),
    judge("bandwidth", "plans with a bandwidth limit are not placed here", facts.hasSfq, (has) => {
      if (!isPlugged) return apart;
      return has
        ? { fine: "the kernel has sch_sfq" }
        : {
            wrong: "the kernel has no sch_sfq",
            fix: "modprobe sch_sfq; cloud kernels leave it out: apt-get install linux-image-amd64",
          };
    }),
    judge("spoof-filter", "VMs could send from foreign addresses", facts.hasSpoofFilter, (has) => {
      if (!isPlugged) return apart;
      return has
        ? { fine: "clean-traffic" }
        : {
            wrong: "libvirt has no filter clean-traffic",
            fix: "apt-get install libvirt-daemon-config-nwfilter",
          };
    }),
    judge(
      "ebtables",
      "what keeps VMs from foreign addresses cannot be looked at",
      facts.ebtables,
      () => (isPlugged ? { fine: "lists its rules" } : apart),
    ),
  ];
}

function judgeFolders(facts: KvmFacts): Check[] {
  const all = (folders: Folders): readonly FolderSeen[] => Object.values(folders);
  return [
    judge("folders", "the agent cannot see the host without them", facts.folders, (folders) => {
      const missing = all(folders).filter(({ at }) => at === null);
      return missing.length === 0
        ? { fine: "all are there" }
        : {
            wrong: `missing: ${missing.map(({ path }) => path).join(", ")}`,
            fix: "is a volume not mounted? mount it; on a new host: doctor --fix makes them",
          };
    }),
    judge(
      "folder-rights",
      "users of this host could list, or put, VMs' files",
      facts.folders,
      (folders) => {
        const open = all(folders).filter(({ at }) => at !== null && isOpen(at.mode));
        return open.length === 0
          ? { fine: "nobody else lists them or writes there" }
          : {
              wrong: open.map(({ path, at }) => `${path} (${octal(at?.mode ?? 0)})`).join(", "),
              fix: `chmod o-rw ${open.map(({ path }) => path).join(" ")}, or doctor --fix`,
            };
      },
    ),
    judge(
      "folder-entry",
      "QEMU runs as a user of its own, and must reach the disks",
      facts.folders,
      ({ image, disk, seed }) => {
        const closed = [...new Set([image, disk, seed].flatMap((one) => one.closed ?? []))];
        return closed.length === 0
          ? { fine: "QEMU's user reaches images, disks and seeds" }
          : {
              wrong: `it cannot pass through ${closed.join(", ")}`,
              fix: `chmod o+x ${closed.join(" ")}`,
            };
      },
    ),
    judge(
      "file-rights",
      "any user of this host could read what customers wrote",
      facts.looseFiles,
      (loose) =>
        loose.length === 0
          ? { fine: "disks, seeds and consoles are the hypervisor's alone" }
          : {
              wrong: `${loose.length} that everybody may open: ${loose.slice(0, 5).join(", ")}`,
              fix: "doctor --fix (the agent does it too, every five minutes)",
            },
    ),
    judge(
      "one-file-system",
      "a destroyed VM moves to the trash by renaming",
      facts.folders,
      ({ disk, ...more }) => {
        const apart = [more.seed, more.console, more.trash].filter(
          ({ at }) => at !== null && disk.at !== null && at.device !== disk.at.device,
        );
        return apart.length === 0
          ? { fine: "disks, seeds, consoles and trash are on one" }
          : {
              wrong: `on another than ${disk.path}: ${apart.map(({ path }) => path).join(", ")}`,
              fix: "put them on one file system",
            };
      },
    ),
    judge(
      "free-space",
      "no VM is made below the reserve, and guests stop when it is full",
      facts.space,
      ({ freeMib }) =>
        freeMib >= facts.reserveDiskMib
          ? { fine: `${freeMib} MiB` }
          : {
              wrong: `${freeMib} MiB are free, and ${facts.reserveDiskMib} are kept`,
              fix: "make room: the trash keeps destroyed VMs for seven days (trashHours)",
            },
    ),
    judge(
      "free-inodes",
      "no file can be made without one, however much space there is",
      facts.space,
      ({ freeInodes, inodes }) =>
        // File systems that make them as they go (btrfs) count none.
        inodes === 0 || freeInodes * 100 >= inodes * FEW_INODES_PERCENT
          ? { fine: inodes === 0 ? "not counted here" : `${freeInodes} of ${inodes}` }
          : {
              wrong: `${freeInodes} of ${inodes}`,
              fix: "find what makes so many files: du --inodes",
            },
    ),
    judge(
      "selinux-labels",
      "SELinux keeps QEMU from files that are not labelled for it",
      facts.mislabelled,
      (folders) =>
        folders.length === 0
          ? { fine: "nothing in its way" }
          : {
              wrong: folders.join(", "),
              fix: `semanage fcontext -a -t virt_image_t 'FOLDER(/.*)?' and restorecon -R FOLDER, for each`,
            },
    ),
  ];
}

function judgeImages(facts: KvmFacts): Check[] {
  return [
    judge(
      "images",
      "a host without an image sells nothing with it",
      facts.images,
      ({ good, bad }) => {
        if (bad.length > 0)
          return {
            wrong: `not whole, or not flat: ${bad.join(", ")}`,
            fix: "copy them anew, under another name first (docs/runbooks/images.md); flatten with qemu-img convert",
          };
        return good.length > 0
          ? { fine: good.join(", ") }
          : { wrong: "none", fix: "put an image there (docs/runbooks/images.md)" };
      },
    ),
    judge(
      "image-checksums",
      "VMs' disks lie on the file that was there, and break on another",
      facts.changedImages,
      (changed) =>
        changed.length === 0
          ? { fine: "none has changed under its name" }
          : {
              wrong: `changed under its name: ${changed.join(", ")}`,
              fix: "bring back the old file, byte for byte (docs/runbooks/images.md)",
            },
    ),
    judge(
      "firmware",
      "VMs whose image asks for UEFI do not start without it",
      facts.firmware,
      ({ has, wanted }) => {
        const missing = [
          ...(wanted.uefi && !has.uefi ? ["UEFI"] : []),
          ...(wanted.secureBoot && !has.secureBoot ? ["UEFI with secure boot"] : []),
        ];
        if (missing.length > 0)
          return {
            wrong: `wanted by VMs, and not here: ${missing.join(", ")}`,
            fix: "apt-get install ovmf",
          };
        const found = [...(has.uefi ? ["UEFI"] : []), ...(has.secureBoot ? ["secure boot"] : [])];
        return { fine: ["BIOS", ...found].join(", ") };
      },
    ),
  ];
}

/** For others to list, or to write. Entering is QEMU's user's way. */
export const isOpen = (mode: number): boolean => (mode & 0o006) !== 0;
const octal = (mode: number): string => `0${(mode & 0o7777).toString(8)}`;
