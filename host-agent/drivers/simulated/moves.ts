import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { ImageFileName } from "#core/contracts/values.ts";
import type { DiskFormat } from "#core/vms/disk-format.ts";
import { DriverError, type VmRef } from "../driver.ts";
import type { MoveCalls } from "../move-calls.ts";
import type { VmRecord } from "./world.ts";

/** Where files of moves lie, for a simulated host that takes part in any. */
export type SimulatedMoves = Readonly<{
  folder: string;
  /** Left out: the real ones. */
  files?: MoveFiles;
}>;

/** As much of a file system as a move needs, by whole paths. */
export interface MoveFiles {
  /** null: there is no such file. */
  read(file: string): Promise<string | null>;
  /** All or nothing. */
  write(file: string, text: string): Promise<void>;
  /** Succeeds when it is gone. */
  remove(file: string): Promise<void>;
}

/** A disk on its way, as the simulated hosts write it. `serial` stands for what is on it. */
const SimulatedExport = z.strictObject({
  serial: z.string().min(1).max(200),
  image: ImageFileName,
  everStarted: z.boolean(),
  diskGib: z.int().positive(),
});
/** More than any `SimulatedExport` is long. */
const MOST_BYTES = 4096n;
const GIB = 1024n ** 3n;

/** What the driver's own calls work with. */
type Hands = Readonly<{
  /** Throws `not_ours`, `stale_epoch`. */
  find: (ref: VmRef) => Promise<VmRecord | null>;
  isOff: (vm: VmRecord) => boolean;
  put: (record: VmRecord) => Promise<void>;
  step: (
    operation: string,
    name: string,
    vmId: string,
    signal: AbortSignal | undefined,
  ) => Promise<void>;
  /** Refuses as `create` does what this host is not made for. */
  refuse: (vm: DesiredVm) => void;
  /** Of a record without a definition, the one that is defined as `vm` says. */
  defined: (vm: DesiredVm, disk: NonNullable<VmRecord["disk"]>) => VmRecord;
  /** The checksum of an image that this host holds. */
  sumOf: (image: string) => string | null;
}>;

export function simulatedMoves(moves: SimulatedMoves, hands: Hands): MoveCalls {
  const { folder, files = realFiles } = moves;
  const { find, isOff, put, step } = hands;

  async function whole(ref: VmRef) {
    const vm = await find(ref);
    if (vm === null || vm.disk === null || vm.definition === null)
      throw new DriverError("vm_missing", `there is no whole VM ${ref.vmId}`);
    return { ...vm, disk: vm.disk };
  }
  async function off(ref: VmRef) {
    const vm = await whole(ref);
    if (!isOff(vm)) throw new DriverError("must_be_off", `VM ${ref.vmId} runs`);
    return vm;
  }

  return {
    folder,
    ownFormat: "simulated",

    async describe(ref, signal) {
      await step("describe", "read", ref.vmId, signal);
      const { size, disk } = await whole(ref);
      const sha256 = hands.sumOf(disk.image);
      return {
        virtualBytes: BigInt(size.diskGib) * GIB,
        exportBytes: MOST_BYTES,
        base: sha256 === null ? null : { file: disk.image, sha256 },
      };
    },

    async exportDisk(ref, to, signal) {
      refuseFormat(to.format);
      const { size, disk } = await off(ref);
      await step("export_disk", "write", ref.vmId, signal);
      const held: z.infer<typeof SimulatedExport> = { ...disk, diskGib: size.diskGib };
      await files.write(to.path, JSON.stringify(held));
    },

    async importDisk(vm, from, signal) {
      refuseFormat(from.format);
      const place = await find(vm);
      const text = await files.read(from.path);
      if (text === null) {
        if (place?.disk && place.definition) return;
        throw new DriverError("driver_failed", `there is no received file at ${from.path}`);
      }
      const disk = readExport(text, vm);
      if (place?.disk && place.disk.serial !== disk.serial)
        throw new DriverError("unsupported", `another disk of VM ${vm.vmId} lies in its place`);
      if (from.base !== null && hands.sumOf(from.base.file) !== from.base.sha256)
        throw new DriverError("image_missing", `there is no such image ${from.base.file}`);
      hands.refuse(vm);
      // One that came whole before may have run since.
      if (!place?.disk || !place.definition) {
        await step("import_disk", "define", vm.vmId, signal);
        await put(hands.defined(vm, disk));
      }
      await step("import_disk", "take_file", vm.vmId, signal);
      await files.remove(from.path);
    },

    async release(ref, signal) {
      const vm = await off(ref);
      if (vm.released) return;
      await step("release", "mark", ref.vmId, signal);
      await put({ ...vm, released: true });
    },

    async hold(ref, signal) {
      const { released, ...vm } = await whole(ref);
      if (!released) return;
      await step("hold", "unmark", ref.vmId, signal);
      await put(vm);
    },
  };
}

/** The other host's word: strictly read, and of the VM's own size. */
function readExport(text: string, vm: DesiredVm): NonNullable<VmRecord["disk"]> {
  const read = SimulatedExport.safeParse(jsonOf(text));
  if (!read.success)
    throw new DriverError("unsupported", "the file is no export of a simulated disk", {
      cause: read.error,
    });
  const { diskGib, ...disk } = read.data;
  if (diskGib !== vm.size.diskGib)
    throw new DriverError(
      "unsupported",
      `the disk has ${diskGib} GiB, and the VM's has ${vm.size.diskGib}`,
    );
  return disk;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refuseFormat(format: DiskFormat): void {
  if (format !== "simulated")
    throw new DriverError("unsupported", `a simulated host has no disks of format ${format}`);
}

export const realFiles: MoveFiles = {
  async read(file) {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
      throw error;
    }
  },
  async write(file, text) {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(`${file}.part`, text, { mode: 0o600 });
    await rename(`${file}.part`, file);
  },
  remove: (file) => rm(file, { force: true }),
};

/** Files that are gone with the process. */
export function memoryFiles(): MoveFiles {
  const texts = new Map<string, string>();
  return {
    read: async (file) => texts.get(file) ?? null,
    write: async (file, text) => void texts.set(file, text),
    remove: async (file) => void texts.delete(file),
  };
}
