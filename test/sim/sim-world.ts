import { countersAt } from "#host-agent/drivers/simulated/guest.ts";
import type { SimulatedWorld, VmRecord } from "#host-agent/drivers/simulated/world.ts";

type TrashRecord = Parameters<SimulatedWorld["putTrash"]>[0];

/** What the serials of disks begin with that somebody made by hand. */
export const FOREIGN = "foreign-";

/** What became of a disk that a host ever held. Instants are milliseconds since 1970. */
export type DiskHistory = {
  serial: string;
  vmId: string;
  host: string;
  everStarted: boolean;
  trashedAt: number | null;
  goneAt: number | null;
};
/** One life of a VM's process. */
export type RunHistory = {
  bootEpoch: string;
  vmId: string;
  startedAt: number;
  /** When it was first seen to have ended; null: it goes on. */
  endedAt: number | null;
  /** What its counters had come to by this instant. */
  countedBy: (at: number) => Counted;
};
/** A VM's counters, its NICs' together: bytes, and nanoseconds of CPU. */
export type Counted = Readonly<{
  cpuNs: bigint;
  rxBytes: bigint;
  txBytes: bigint;
  readBytes: bigint;
  writeBytes: bigint;
}>;

const sum = (all: readonly bigint[]): bigint => all.reduce((n, bytes) => n + bytes, 0n);

/** What one host's hypervisor and disks hold, with all that they ever held, to judge by. */
export class SimWorld implements SimulatedWorld {
  readonly host: string;
  readonly disks = new Map<string, DiskHistory>();
  readonly runs = new Map<string, RunHistory>();
  /** By VM, how often one-shot work was begun on it. */
  readonly oneShots = new Map<string, number>();
  /** By id, VMs that somebody made by hand, as they were made. */
  readonly foreign = new Map<string, VmRecord>();
  /** Serials of disks that somebody took away, or put into the trash, by hand. */
  readonly takenByHand = new Set<string>();
  readonly #vms = new Map<string, VmRecord>();
  readonly #trash = new Map<string, TrashRecord>();
  readonly #now: () => number;

  constructor(host: string, now: () => number) {
    this.host = host;
    this.#now = now;
  }

  /** As it is now, without waiting: for the checks and for what happens to a host by itself. */
  all(): readonly VmRecord[] {
    return [...this.#vms.values()];
  }
  put(record: VmRecord): void {
    const { disk, run, vmId } = record;
    this.#vms.set(vmId, record);
    if (disk !== null) {
      const known = this.disks.get(disk.serial);
      // It came again, by another move, while what it left here before lies in the trash.
      const isBack = known !== undefined && this.#vms.get(vmId)?.disk?.serial !== disk.serial;
      if (isBack) Object.assign(known, { trashedAt: null, goneAt: null });
      if (known) known.everStarted ||= disk.everStarted;
      else
        this.disks.set(disk.serial, {
          serial: disk.serial,
          vmId,
          host: this.host,
          everStarted: disk.everStarted,
          trashedAt: null,
          goneAt: null,
        });
    }
    this.#endRuns(vmId, run?.bootEpoch ?? null);
    const known = run && this.runs.get(run.bootEpoch);
    // What was done with an older look at the VM brings its run back.
    if (known) known.endedAt = null;
    if (run !== null && !known)
      this.runs.set(run.bootEpoch, {
        bootEpoch: run.bootEpoch,
        vmId,
        startedAt: run.startedAt,
        endedAt: null,
        countedBy: (at) => {
          const { cpuNs, rxBytes, txBytes, readBytes, writeBytes } = countersAt(record, run, at);
          return { cpuNs, rxBytes: sum(rxBytes), txBytes: sum(txBytes), readBytes, writeBytes };
        },
      });
  }
  /** Every run of the VM but this one is over. */
  #endRuns(vmId: string, butFor: string | null): void {
    for (const run of this.runs.values())
      if (run.vmId === vmId && run.bootEpoch !== butFor) run.endedAt ??= this.#now();
  }
  drop(vmId: string): void {
    this.#endRuns(vmId, null);
    const disk = this.#vms.get(vmId)?.disk;
    this.#vms.delete(vmId);
    const history = disk && this.disks.get(disk.serial);
    if (history && history.trashedAt === null) history.goneAt = this.#now();
  }
  get(vmId: string): VmRecord | undefined {
    return this.#vms.get(vmId);
  }

  async vms(): Promise<readonly VmRecord[]> {
    return this.all();
  }
  async vm(vmId: string): Promise<VmRecord | null> {
    return this.#vms.get(vmId) ?? null;
  }
  async putVm(record: VmRecord): Promise<void> {
    this.put(record);
  }
  async removeVm(vmId: string): Promise<void> {
    this.drop(vmId);
  }
  async trash(): Promise<readonly TrashRecord[]> {
    return [...this.#trash.values()];
  }
  async putTrash(record: TrashRecord): Promise<void> {
    this.#trash.set(record.serial, record);
    const history = this.disks.get(record.serial);
    if (history) history.trashedAt ??= record.trashedAt;
  }
  async removeTrash(serial: string): Promise<void> {
    this.#trash.delete(serial);
    const history = this.disks.get(serial);
    if (!history) return;
    // It was brought back: a VM has it.
    if (this.all().some((vm) => vm.disk?.serial === serial)) history.trashedAt = null;
    else history.goneAt = this.#now();
  }
}
