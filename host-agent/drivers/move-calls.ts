import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { DiskFormat } from "#core/vms/disk-format.ts";
import type { VmRef } from "./driver.ts";

/**
 * What a driver offers to moves between hosts (docs/adr/0053). As with all of its calls: only VMs whose tag is that of the
 * `VmRef`, each may be repeated and be cut short, and nothing of the other host is trusted.
 */
export interface MoveCalls {
  /** Where files of moves lie, beside the disks: `fileOf`. The agent makes and removes them, and the driver reads and takes them. */
  readonly folder: string;

  /** What the VM is made of, whether it runs or not. Throws `vm_missing`, and `unsupported` for a disk that cannot be moved. */
  describe(vm: VmRef, signal?: AbortSignal): Promise<MovedDisk>;

  /**
   * Writes what its guest sees as its disk to `to`, in the other end's format; the VM is off, else it throws `must_be_off`. `base`: the
   * other end holds the image that the disk stands on, so that only what differs need go; the driver may pass that by. An earlier
   * attempt's file is written over. What is written does not change any more, however often it is read.
   */
  exportDisk(
    vm: VmRef,
    to: Readonly<{ path: string; format: DiskFormat; base: BaseImage | null }>,
    signal?: AbortSignal,
  ): Promise<void>;

  /**
   * Makes the VM, with the tag that `vm` has, of the file that was received, and leaves it off and `complete`, without a seed. The file
   * is the other host's word: one that names another file (a backing file, a data file), or holds a disk of another size than the
   * VM's, throws `unsupported`, and nothing of it is opened. `base`: what is missing in it is the image's. The file is gone
   * afterwards; without it, and with the VM there, it was done before. It never writes over a disk that was ever started.
   */
  importDisk(
    vm: DesiredVm,
    from: Readonly<{ path: string; format: DiskFormat; base: BaseImage | null }>,
    signal?: AbortSignal,
  ): Promise<void>;

  /** Marks the copy as released, on the host's own record of it: from then on `start` throws `stale_epoch`. The VM is off. */
  release(vm: VmRef, signal?: AbortSignal): Promise<void>;

  /** Takes that mark away. */
  hold(vm: VmRef, signal?: AbortSignal): Promise<void>;

  /** Moves a VM while it runs; null: this driver cannot. */
  readonly live: LiveCalls | null;
}

/** An image file that both ends hold, by its bytes. */
export type BaseImage = Readonly<{ file: string; sha256: string }>;

export type MovedDisk = Readonly<{
  /** What the guest sees. */
  virtualBytes: bigint;
  /** The most that the file of an export takes, whatever its format. */
  exportBytes: bigint;
  /** The image that it stands on; null: it stands alone, or on something that is no image. */
  base: BaseImage | null;
}>;

/** The calls of a move whose guest runs on. */
export type LiveCalls = never;
