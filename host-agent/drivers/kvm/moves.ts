import type { MoveCalls } from "../move-calls.ts";
import { exportDisk } from "./export-disk.ts";
import type { KvmHost } from "./host.ts";
import { importDisk, movesFolder } from "./import-disk.ts";
import { guardIncoming } from "./guard-incoming.ts";
import { dropSockets, hypervisorSockets, readySockets } from "./live-sockets.ts";
import { migrateLive, pauseOf, prepareLive, seenLive, takeLive } from "./migrate-live.ts";
import { describeDisk } from "./movable-disk.ts";
import { markReleased } from "./release-vm.ts";

/** Gives every failure its stable code, and ends with the driver. */
export type DriverCall = <T>(
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
) => Promise<T>;

/** What moves between hosts ask of a KVM host. */
export const kvmMoves = (host: KvmHost, call: DriverCall): MoveCalls => ({
  folder: movesFolder(host),
  ownFormat: "qcow2",
  describe: (vm, signal) => call(signal, (signal) => describeDisk(host, vm, signal)),
  exportDisk: (vm, to, signal) => call(signal, (signal) => exportDisk(host, vm, to, signal)),
  importDisk: (vm, from, signal) => call(signal, (signal) => importDisk(host, vm, from, signal)),
  release: (vm, signal) => call(signal, (signal) => markReleased(host, vm, true, signal)),
  hold: (vm, signal) => call(signal, (signal) => markReleased(host, vm, false, signal)),
  live: {
    forwarded: {
      sockets: (end, moved, signal) => call(signal, () => readySockets(host, end, moved)),
      guard: (kind, moved, target) =>
        kind === "libvirt"
          ? guardIncoming({ target, sockets: hypervisorSockets(host, moved) })
          : null,
      drop: (moved, signal) =>
        call(signal, async () => {
          await dropSockets(host, moved);
        }),
    },
    prepareLive: (vm, base, signal) =>
      call(signal, (signal) => prepareLive(host, vm, base, signal)),
    migrateLive: (vm, to, signal) => call(signal, (signal) => migrateLive(host, vm, to, signal)),
    seen: (vm, signal) => call(signal, (signal) => seenLive(host, vm, signal)),
    pauseOf: (vm, signal) => call(signal, (signal) => pauseOf(host, vm, signal)),
    takeLive: (vm, signal) => call(signal, (signal) => takeLive(host, vm, signal)),
  },
});
