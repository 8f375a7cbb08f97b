import path from "node:path";
import type { Clock } from "#core/ports.ts";
import { HostImage } from "#core/contracts/agent/desired.ts";
import { DriverError } from "../driver.ts";
import type { BaseImage, MoveCalls } from "../move-calls.ts";
import { DiskMakeup } from "./answers.ts";
import { createHypervLive } from "./live.ts";
import { readVhdxHeader } from "./vhdx-header.ts";
import { type Ask, wholeHardware } from "./vm-request.ts";

const GIB = 1024n ** 3n;
const MIB = 1024n ** 2n;

/**
 * Moves of Hyper-V's VMs. A disk leaves as a VHDX that stands alone, as nothing but Hyper-V reads one that stands on
 * another, and is taken in no other form: the other end's `base` is never needed, as all of the disk is in the file.
 */
export function createHypervMoves(host: {
  folder: string;
  /** Among the other changes, one after the other. */
  change: Ask;
  /** Beside them, for as long as it takes to copy a disk. */
  copy: Ask;
  /** Throws what the host cannot be asked for. */
  refuse: (vm: Parameters<MoveCalls["importDisk"]>[0], signal?: AbortSignal) => Promise<void>;
  sumOf: (image: string) => Promise<string | null>;
  /** Its operator has joined it with others, so that Hyper-V can move what runs. */
  movesLive: boolean;
  clock: Clock;
}): MoveCalls {
  const nameOf = (file: string): string => {
    if (path.dirname(file) !== host.folder)
      throw new DriverError("unsupported", "a file of a move that lies elsewhere");
    return path.basename(file);
  };
  const baseOf = async (image: string | null): Promise<BaseImage | null> => {
    const file = HostImage.shape.file.safeParse(image).data;
    const sha256 = file === undefined ? null : await host.sumOf(file);
    return file === undefined || sha256 === null ? null : { file, sha256 };
  };

  return {
    folder: host.folder,
    ownFormat: "vhdx",

    async describe(vm, signal) {
      const disk = DiskMakeup.parse(await host.change("describe", vm, {}, signal));
      const virtualBytes = BigInt(disk.virtualBytes);
      return {
        virtualBytes,
        exportBytes: mostBytes(virtualBytes, BigInt(disk.layerBytes)),
        base: await baseOf(disk.image),
      };
    },

    async exportDisk(vm, to, signal) {
      refuseFormat(to.format);
      await host.copy("export", vm, { file: nameOf(to.path) }, signal);
    },

    async importDisk(vm, from, signal) {
      refuseFormat(from.format);
      const file = nameOf(from.path);
      // Before any cmdlet could look at it.
      await refuseForeignDisk(from.path, BigInt(vm.size.diskGib) * GIB);
      await host.refuse(vm, signal);
      await host.change("import", vm, { ...wholeHardware(vm), file }, signal);
    },

    async release(vm, signal) {
      await host.change("release", vm, {}, signal);
    },
    async hold(vm, signal) {
      await host.change("hold", vm, {}, signal);
    },
    live: host.movesLive ? createHypervLive(host) : null,
  };
}

/**
 * An export has blocks of 1 MiB, of which all blocks of the layers are multiples: it holds no more of them than those do.
 * Beside them lie its head, its log and its table, of 8 bytes a block; twice that is room for what Windows adds.
 */
function mostBytes(virtualBytes: bigint, layerBytes: bigint): bigint {
  const payload = layerBytes < virtualBytes ? layerBytes : virtualBytes;
  return payload + (virtualBytes / MIB) * 16n + 16n * MIB;
}

function refuseFormat(format: string): void {
  if (format !== "vhdx")
    throw new DriverError("unsupported", `Hyper-V reads and writes no ${format}`);
}

/** Of a file that is gone nothing is refused: it may have been taken before. */
async function refuseForeignDisk(file: string, wanted: bigint): Promise<void> {
  const header = await readVhdxHeader(file).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  });
  if (header === null) return;
  const { kind, virtualBytes } = header;
  if (kind !== "dynamic")
    throw new DriverError("unsupported", `the disk that was received is ${kind}, not dynamic`);
  if (virtualBytes !== wanted)
    throw new DriverError("unsupported", `a disk of ${virtualBytes} bytes, not of ${wanted}`);
}
