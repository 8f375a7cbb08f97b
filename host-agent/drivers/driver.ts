import type {
  AgentErrorCode,
  HostFacts,
  HostFinding,
  ObservedVm,
} from "#core/contracts/agent/report.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { OneShotAction, StopMode } from "#core/vms/vm.ts";
import type { MoveCalls } from "./move-calls.ts";
import type { VmRef } from "./vm-ref.ts";

export type { VmRef };

/**
 * The one contract that every hypervisor's driver keeps, and that `test/drivers/contract.ts` checks.
 *
 * - A driver touches only VMs that carry Berth's tag (VM id and owner epoch, embedded in the hypervisor's own
 *   record of the VM). A call whose `VmRef` does not match the tag throws `DriverError("not_ours")` or
 *   `("stale_epoch")` and changes nothing.
 * - Two Berths may share a hypervisor (docs/adr/0039): a VM whose tag names another installation than the driver's own is to
 *   it as one without a tag. A tag that names none, or a driver that does not know its own, is as it was before there were any.
 * - Every call may be repeated: doing what is already true succeeds. A call that was cut short (agent killed,
 *   worker killed, time-out) leaves a state that `list` shows and from which the same call goes on.
 * - Every call ends within its own time limit, or when `signal` is aborted.
 * - Nothing a customer or the control plane sends becomes code, a path outside the driver's folders, or XML.
 */
export interface VmDriver {
  /** Where images are fetched to; null: nowhere. */
  readonly imageFolder: ImageFolder | null;

  /** What moves between hosts ask of it; null: no VM leaves this host or comes to it. */
  readonly moves: MoveCalls | null;

  /** What this host is and can do. Called at start and every few minutes. */
  facts(signal?: AbortSignal): Promise<HostFacts>;

  /**
   * All VMs with Berth's tag, in one look. Throws `hypervisor_unavailable` when it cannot be sure that it saw
   * everything: a VM that is missing from the answer does not exist.
   */
  list(signal?: AbortSignal): Promise<readonly ObservedVm[]>;

  /**
   * Makes the VM from its image as a linked clone with its first-boot seed, and leaves it off and `complete`.
   * Adopts and completes what an earlier attempt left behind; never overwrites a disk that was ever started.
   * Throws `image_missing`, `out_of_disk`, `unsupported`, `beyond_limits`, and whatever `secrets` throw.
   */
  create(vm: DesiredVm, signal?: AbortSignal, secrets?: FirstBootSecrets): Promise<void>;

  /**
   * Defines it again, whose definition is gone: from what runs, whose guest notices nothing; else on its disk as it lies.
   * Throws `vm_missing` where there is no disk, and `unsupported` for one that is not the VM's: another size, another image.
   */
  adopt(vm: DesiredVm, signal?: AbortSignal): Promise<void>;

  /**
   * Brings back its newest disk from the trash, with its tag, and defines the VM on it, off and `complete`. Throws `vm_missing` when
   * there is none, and `unsupported` when that disk is not the VM's (as `adopt`), or when another lies in its place.
   */
  restore(vm: DesiredVm, signal?: AbortSignal): Promise<void>;

  /**
   * Powers it on; resumes it when paused. Returns when the hypervisor says running, not when the guest is up.
   * A memory that somebody saved is restored; one that cannot be is dropped, the VM boots, and a finding says so.
   */
  start(vm: VmRef, signal?: AbortSignal): Promise<void>;

  /**
   * `graceful`: asks the guest and returns; the VM is off when `list` says so, and the caller asks again.
   * `firm`: cuts the power, and returns when it is off.
   */
  stop(vm: VmRef, mode: StopMode, signal?: AbortSignal): Promise<void>;

  /** `reset`: the reset button. `reboot`: asks the guest to reboot; throws `unsupported` where it cannot. */
  once(vm: VmRef, action: OneShotAction, signal?: AbortSignal): Promise<void>;

  /**
   * Gives the VM `vm.size`. While it runs, only what the capabilities allow; the planner stops it first
   * otherwise. Throws `must_be_off` for what a stop would allow, `unsupported` for what none would (a disk that would
   * shrink), and `beyond_limits` past what this host supports (`core/hosts/limits.ts`); then nothing has changed.
   */
  resize(vm: DesiredVm, signal?: AbortSignal): Promise<void>;

  /**
   * Ejects and deletes the first-boot seed, which holds secrets: its guest has read it. The VM stays complete, and
   * keeps running.
   */
  eraseSeed(vm: VmRef, signal?: AbortSignal): Promise<void>;

  /** Powers off, removes the definition, and moves the disks to the host's trash. Succeeds when it is gone. */
  destroy(vm: VmRef, signal?: AbortSignal): Promise<void>;

  /** Raw counters of every running VM since its boot epoch began, in one look. */
  counters(signal?: AbortSignal): Promise<readonly VmCounters[]>;

  /**
   * Looks whether the NICs of these VMs, as far as they run, can send from their own addresses only, and puts back what
   * forbids the rest where somebody took it away. A finding says whose was missing.
   */
  guard(vms: readonly DesiredVm[], signal?: AbortSignal): Promise<void>;

  /** What was found since this was asked last and staff must hear of. Each is in the log too. */
  takeFindings(): readonly HostFinding[];

  /**
   * Writes this installation's id into the tags of these VMs, as far as they bear none; their guests notice nothing. VMs made
   * from now on have it from the start. Returns how many were given it: none while the driver does not know its installation.
   */
  claim(vms: readonly VmRef[], signal?: AbortSignal): Promise<number>;

  /** Deletes what has lain in the trash since before `before`. Returns how many VMs' disks went. */
  emptyTrash(before: Date, signal?: AbortSignal): Promise<number>;

  /** Ends child processes and open files. The driver is not used afterwards. */
  close(): Promise<void>;
}

/** What a seed may need and the desired document does not hold. Asked for only when a seed is written. */
export type FirstBootSecrets = Readonly<{
  /** The same each time, as long as the VM is not whole. */
  administratorPassword: (signal?: AbortSignal) => Promise<string>;
}>;

/** Where a driver's images lie, and what their names end in. */
export type ImageFolder = Readonly<{
  path: string;
  ending: string;
  /** The SHA-256 of an image as it lies there now; null: it is not there, not read through yet, or another than it was. */
  sumOf: (file: string) => Promise<string | null>;
}>;

/** The id of the Berth that this agent belongs to; null while nobody has told it. It may come while the driver works. */
export type InstallationId = () => string | null;

/** Whether a tag is another Berth's. */
export const isForeign = (tagged: string | null, own: string | null): boolean =>
  tagged !== null && own !== null && tagged !== own;

export type VmCounters = Readonly<{
  vmId: string;
  bootEpoch: string;
  cpuNs: bigint;
  /** By NIC, in the order of the VM's definition. */
  rxBytes: readonly bigint[];
  txBytes: readonly bigint[];
  readBytes: bigint;
  writeBytes: bigint;
  /** Given to the guest now. */
  memoryBytes: bigint;
  /** Taken on the host by the VM's own disk layer. */
  diskBytes: bigint;
}>;

/** A driver's refusal or failure with a stable code. Anything else that is thrown counts as `driver_failed`. */
export class DriverError extends Error {
  override name = "DriverError";
  readonly code: AgentErrorCode;
  constructor(code: AgentErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
  }
}

/** Whether the VM's seed holds its administrator's first password. */
export const asksForPassword = (vm: Pick<DesiredVm, "image" | "rootPassword">): boolean =>
  vm.image.os === "windows" || vm.rootPassword === true;

/** Throws `unsupported` where nobody gives passwords. */
export async function administratorPassword(
  secrets: FirstBootSecrets | undefined,
  signal?: AbortSignal,
): Promise<string> {
  if (secrets === undefined)
    throw new DriverError("unsupported", "this VM needs a source of its first password");
  return secrets.administratorPassword(signal);
}

/** One step of a driver's self-test, and what came of it. */
export type SelftestStep = Readonly<{ step: string; ok: boolean; ms: number; detail: string }>;
