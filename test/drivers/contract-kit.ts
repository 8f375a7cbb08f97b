import { expect } from "vitest";
import type { DesiredVm, HostImage } from "#core/contracts/agent/desired.ts";
import type { ObservedVm } from "#core/contracts/agent/report.ts";
import type { DiskFormat } from "#core/vms/disk-format.ts";
import { DriverError, type VmDriver, type VmRef } from "#host-agent/drivers/driver.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { aDesiredVm } from "./builders.ts";

/** One host for the whole suite; every test makes VMs of its own on it. */
export type OpenedDriver = {
  driver: VmDriver;
  /** An image that the host has and whose guest starts with 128 MiB. */
  image: HostImage;
  /** A guest needs minutes and a call needs seconds (emulation, Windows). */
  slow?: boolean;
  /** false: this image's guest is never seen from the host. */
  guestSeen?: boolean;
  /** A second driver on the same host, as after a restart of the agent. */
  reopen?: () => Promise<VmDriver>;
  /** A second driver on the same host, of the Berth with this id; null: it knows of none. */
  openFor: (installation: string | null) => Promise<VmDriver>;
  /** Makes a VM under this id without Berth's tag, as a person at the host would. */
  plantForeign?: (vmId: string) => Promise<void>;
  /** Where its driver has `moves`: what a test of them needs besides. */
  moves?: OpenedMoves;
  close(): Promise<void>;
};

/** Ends of a move between hosts of one kind. */
export type OpenedMoves = {
  /** What leaves such a host and comes to it. */
  format: DiskFormat;
  /** Another host of the kind, with the same image. */
  second: VmDriver;
  /** Leaves a mark on the disk of a VM that is off, as its guest would. */
  mark: (vm: VmRef) => Promise<void>;
  /** The same for disks whose guests see the same; of a VM that is off, on either host. */
  contentOf: (driver: VmDriver, vm: VmRef) => Promise<string>;
  /** Carries a file as a channel between agents would, byte for byte. */
  carry: (from: string, to: string) => Promise<void>;
  isThere: (file: string) => Promise<boolean>;
};

/** What the contract's tests work with, on the host that `open` gave. */
export type ContractKit = ReturnType<typeof createContractKit>;

export function createContractKit(opened: () => OpenedDriver) {
  const order = (over: Partial<DesiredVm> = {}) => aDesiredVm({ image: opened().image, ...over });
  const created = async (over: Partial<DesiredVm> = {}) => {
    const vm = order(over);
    await opened().driver.create(vm);
    return vm;
  };
  return {
    get host() {
      return opened();
    },
    get driver() {
      return opened().driver;
    },
    patience: () => (opened().slow ? 2 * PATIENCE_MS : PATIENCE_MS),
    /** A VM that is ordered, and not made yet. */
    order,
    created,
    started: async (over: Partial<DesiredVm> = {}) => {
      const vm = await created(over);
      await opened().driver.start(vm);
      return vm;
    },
    look: async (vm: VmRef): Promise<ObservedVm | null> => {
      const seen = (await opened().driver.list()).filter((other) => other.vmId === vm.vmId);
      expect(seen.length, "a VM is listed at most once").toBeLessThanOrEqual(1);
      return seen[0] ?? null;
    },
    code: (value: string): unknown => expect.objectContaining({ name: "DriverError", code: value }),
    /** "done", the code of a refusal, or what else was thrown. */
    outcome: (call: Promise<void>): Promise<string> =>
      call.then(
        () => "done",
        (error: unknown) => (error instanceof DriverError ? error.code : String(error)),
      ),
  };
}
