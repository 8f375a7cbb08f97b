import { judge, type Check } from "./check.ts";
import type { Folders, FolderSeen, KvmFacts } from "./kvm-facts.ts";

const FEW_INODES_PERCENT = 2;

/** Folders, what lies in them, and the images. */
export const judgeFiles = (facts: KvmFacts): Check[] => [
  ...judgeFolders(facts),
  ...judgeImages(facts),
];

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
      ({ good, bad, missing }) => {
        if (bad.length > 0)
          return {
            wrong: `not whole, or not flat: ${bad.join(", ")}`,
            fix: "copy them anew, under another name first (docs/runbooks/images.md); flatten with qemu-img convert",
          };
        if (missing.length > 0)
          return {
            wrong: `VMs of this host lie on what is not there: ${missing.join(", ")}`,
            fix: "bring them back, byte for byte (docs/runbooks/images.md)",
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
