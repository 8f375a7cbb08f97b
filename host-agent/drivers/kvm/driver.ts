import type { VmDriver } from "../driver.ts";
import { adoptVm } from "./adopt-vm.ts";
import { doOnce, startVm, stopVm } from "./change-power.ts";
import { claimVms } from "./claim-vms.ts";
import { createVm } from "./create-vm.ts";
import { destroyVm } from "./destroy-vm.ts";
import { eraseSeed } from "./erase-seed.ts";
import { guardVms } from "./guard.ts";
import { openKvmHost, type KvmOptions } from "./host.ts";
import { readHostFacts } from "./host-facts.ts";
import { imageFile } from "./files.ts";
import { IMAGE_ENDING } from "./images.ts";
import { listVms } from "./list-vms.ts";
import { kvmMoves } from "./moves.ts";
import { readCounters } from "./read-counters.ts";
import { resizeVm } from "./resize-vm.ts";
import { driverErrorOf } from "./run-program.ts";
import { restoreVm } from "./restore-vm.ts";
import { emptyTrash } from "./trash.ts";

/**
 * The driver for KVM hosts: libvirt and QEMU through `virsh` and `qemu-img`. It holds no state that matters: what
 * it remembers is read again from libvirt, the kernel and the host's files after a restart.
 */
export function createKvmDriver(options: KvmOptions): VmDriver {
  const host = openKvmHost(options);
  const closing = new AbortController();

  /** Ends with the driver, and gives every failure its stable code. */
  async function call<T>(
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    try {
      return await work(signal ? AbortSignal.any([signal, closing.signal]) : closing.signal);
    } catch (error) {
      throw driverErrorOf(error);
    }
  }

  return {
    imageFolder: {
      path: options.imageDir,
      ending: IMAGE_ENDING,
      sumOf: (file) => host.shelf.sumOf({ file, path: imageFile(host.folders, file) }),
    },
    moves: kvmMoves(host, call),
    facts: (signal) => call(signal, (signal) => readHostFacts(host, signal)),
    list: (signal) => call(signal, (signal) => listVms(host, signal)),
    create: (vm, signal, secrets) => call(signal, (signal) => createVm(host, vm, signal, secrets)),
    eraseSeed: (vm, signal) => call(signal, (signal) => eraseSeed(host, vm, signal)),
    adopt: (vm, signal) => call(signal, (signal) => adoptVm(host, vm, signal)),
    restore: (vm, signal) => call(signal, (signal) => restoreVm(host, vm, signal)),
    start: (vm, signal) => call(signal, (signal) => startVm(host, vm, signal)),
    stop: (vm, mode, signal) => call(signal, (signal) => stopVm(host, vm, mode, signal)),
    once: (vm, action, signal) => call(signal, (signal) => doOnce(host, vm, action, signal)),
    resize: (vm, signal) => call(signal, (signal) => resizeVm(host, vm, signal)),
    destroy: (vm, signal) => call(signal, (signal) => destroyVm(host, vm, signal)),
    guard: (vms, signal) => call(signal, (signal) => guardVms(host, vms, signal)),
    claim: (vms, signal) => call(signal, (signal) => claimVms(host, vms, signal)),
    takeFindings: () => host.findings.take(),
    counters: (signal) => call(signal, (signal) => readCounters(host, signal)),
    emptyTrash: (before, signal) =>
      call(signal, (signal) => emptyTrash(options.trashDir, before, signal)),
    close: async () => closing.abort(new Error("the driver is closed")),
  };
}
