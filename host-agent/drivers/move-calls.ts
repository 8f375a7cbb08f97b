import type { Transform } from "node:stream";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { DiskFormat } from "#core/vms/disk-format.ts";
import type { VmRef } from "./vm-ref.ts";

/**
 * What a driver offers to moves between hosts (docs/adr/0053). As with all of its calls: only VMs whose tag is that of the
 * `VmRef`, each may be repeated and be cut short, and nothing of the other host is trusted.
 */
export interface MoveCalls {
  /** Where files of moves lie, beside the disks: `fileOf`. The agent makes and removes them, and the driver reads and takes them. */
  readonly folder: string;
  /** What is received in this format becomes the disk as it is; of anything else `importDisk` makes a second file of that size. */
  readonly ownFormat: DiskFormat;

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

  /** How it moves a VM while that runs; left out, or null: it cannot. */
  readonly live?: LiveCalls | null;
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

/**
 * A move whose guest runs on, between two hosts of one kind that share nothing. The source's hypervisor does it. Nothing that it answers
 * says what came of it: `seen` does, at both ends, and `judgeLive` of the two. `vm` is tagged with the destination's epoch at the
 * destination, and with the source's there.
 */
export interface LiveCalls {
  /** How the agents join the two hypervisors; null: those reach each other by themselves. */
  readonly forwarded: ForwardedCalls | null;

  /**
   * At the destination: makes the disk that the guest's is copied into, with the VM's tag, and answers what the source has to know.
   * `base`: it is made over that image, and only what differs is sent. What is not wanted after all goes by `destroy`. Refuses what
   * `importDisk` refuses of the VM.
   */
  prepareLive(vm: DesiredVm, base: BaseImage | null, signal?: AbortSignal): Promise<LiveTarget>;

  /**
   * At the source: moves the guest, and returns when the hypervisor says that it has. The source's copy stays defined, off and startable:
   * `release` is the caller's. Where the hypervisor can, the guest stands still at the destination until it is taken there. Aborted, it
   * calls the move off first, and waits until the hypervisor has. Throws `unsupported` for a VM that does not run, and for a target that
   * does not fit it. Whatever it throws, look. `tell`: what has gone over so far.
   */
  migrateLive(
    vm: VmRef,
    to: Readonly<{
      moved: VmRef;
      target: LiveTarget;
      base: BaseImage | null;
      /** null: not limited. */
      mbitPerSecond: number | null;
      tell: (bytes: number) => void;
    }>,
    signal?: AbortSignal,
  ): Promise<void>;

  /**
   * At the source, once the guest has gone over: for how many milliseconds it stood still until its hypervisor said so, as that measured;
   * null: it does not say.
   */
  pauseOf(vm: VmRef, signal?: AbortSignal): Promise<number | null>;

  /** What this end shows of the VM in this epoch. Throws when it cannot be sure. */
  seen(vm: VmRef, signal?: AbortSignal): Promise<LiveEnd>;

  /**
   * At the destination: the source has handed the guest over, and it is to run here. It stands still until then, so this is no place to
   * look around. One that has ended meanwhile is started, as any VM whose guest has ended. Throws what is not whole.
   */
  takeLive(vm: VmRef, signal?: AbortSignal): Promise<void>;
}

/** Sockets by which the source's hypervisor reaches the destination's, and which the agents join (`forward-sockets.ts`). */
export interface ForwardedCalls {
  /**
   * Those of this VM's move on this host, made ready for this end: at the source the agent listens on all three, at the destination it
   * connects to them. `moved` is of the epoch that the destination will have, at both ends.
   */
  sockets(end: "source" | "destination", moved: VmRef, signal?: AbortSignal): Promise<LiveSockets>;

  /**
   * At the destination: what the source says to this host's hypervisor goes through it, so that it can make of it the VM that was
   * prepared and nothing else; null: that kind of socket leads nowhere but to the guest's own bytes.
   */
  guard(kind: Forwarded, moved: VmRef, target: LiveTarget): Transform | null;

  /** Removes what is left of them on this host, once the move is over, whatever came of it. */
  drop(moved: VmRef, signal?: AbortSignal): Promise<void>;
}

export const FORWARDED = ["libvirt", "qemu", "nbd"] as const;
/** What a socket is for. */
export type Forwarded = (typeof FORWARDED)[number];
/** Where each lies on this host. */
export type LiveSockets = Readonly<Record<Forwarded, string>>;

/** The destination's word, which the source believes only as far as it can check it. */
export type LiveTarget = Readonly<{
  /** The VM as the destination will define it, in its hypervisor's own format. */
  definition: string;
}>;

/** One end of a live move. */
export const LIVE_ENDS = [
  /** It is not there. */
  "none",
  /** Off, and not by being moved; at a destination, whyever. */
  "off",
  /** Off, as the hypervisor handed its guest over. */
  "left",
  /** Off, and the hypervisor does not know why. */
  "unknown",
  /** The hypervisor is about to move it, from here or to here. */
  "moving",
  /** Its guest is whole and stands still, and nothing moves it. */
  "paused",
  "running",
] as const;
export type LiveEnd = (typeof LIVE_ENDS)[number];
