import { z } from "zod";
import { VmSize } from "#core/vms/vm.ts";
import { fileStore, memoryStore, type StateStore } from "#host-agent/state/state-store.ts";
import { DriverError } from "../driver.ts";

const Millis = z.int().nonnegative();

/** One life of a VM's process. Instants are milliseconds since 1970. */
export const Run = z.object({
  bootEpoch: z.string(),
  startedAt: Millis,
  /** When the guest will have booted and can be seen. */
  guestFrom: Millis,
  /** When the guest, asked to shut down, will be off; null when nobody asked, or it does not listen. */
  offFrom: Millis.nullable(),
  paused: z.boolean(),
  failed: z.boolean(),
  /** Hot growth ends here, as `<vcpu current='2'>8</vcpu>` does. */
  maxVcpus: z.int(),
  maxMemoryMib: z.int(),
});
const Limits = z.object({ bandwidthMbit: z.int().nullable(), diskIops: z.int().nullable() });
export type Run = z.infer<typeof Run>;

/** What the simulated host holds of one VM. Disk, seed and definition come one after another, and may be cut short. */
export const VmRecord = z.object({
  vmId: z.uuid(),
  /** null: somebody else's VM with no tag of Berth's. */
  ownerEpoch: z.int().positive().nullable(),
  size: VmSize,
  disk: z.object({ serial: z.string(), image: z.string(), everStarted: z.boolean() }).nullable(),
  /** Erased, it is still known what it said. */
  seed: z.object({ hostname: z.string(), erased: z.boolean() }).nullable(),
  definition: z.object({ macs: z.array(z.string()) }).nullable(),
  run: Run.nullable(),
  // Left out of records that have none: older agents read the same world, strictly.
  /** What it is limited to; left out: to nothing. */
  limits: Limits.optional(),
  /** Whose it is of the Berths on this host. */
  installation: z.uuid().optional(),
  /** Somebody saved its memory, and that cannot be restored. */
  spoiltMemory: z.boolean().optional(),
  /** Somebody took away what keeps it from foreign addresses. */
  unguarded: z.boolean().optional(),
  /** Somebody took its definition away while it ran: with its process the rest of that goes. */
  undefinedRun: z.boolean().optional(),
  /** It was released to another host, and does not start here any more. */
  released: z.boolean().optional(),
  starts: z.int().nonnegative(),
});
export type VmRecord = z.infer<typeof VmRecord>;

const TrashRecord = z.object({
  serial: z.string(),
  vmId: z.uuid(),
  trashedAt: Millis,
  /** The VM as it was, without its process and its definition. What older agents trashed has none. */
  held: VmRecord.optional(),
});
type TrashRecord = z.infer<typeof TrashRecord>;

/** The simulated host's disk: it outlives the agent, and every write is all or nothing. */
export interface SimulatedWorld {
  vms(): Promise<readonly VmRecord[]>;
  vm(vmId: string): Promise<VmRecord | null>;
  putVm(record: VmRecord): Promise<void>;
  removeVm(vmId: string): Promise<void>;
  trash(): Promise<readonly TrashRecord[]>;
  putTrash(record: TrashRecord): Promise<void>;
  removeTrash(serial: string): Promise<void>;
}

export const memoryWorld = (): SimulatedWorld => worldOn(memoryStore(), "memory");
/** Not flushed to the disk: it survives the death of the agent, not a power cut, and so costs a test nothing. */
export const folderWorld = (folder: string): SimulatedWorld =>
  worldOn(fileStore(folder, { durable: false }), folder);

/** By its name, what a text was when it was read last. */
type LastRead<T> = Map<string, { text: string; record: T }>;

/** A look reads every record, of which most are as they were: only what was written since is parsed again. Nothing changes a record. */
function worldOn(store: StateStore, where: string): SimulatedWorld {
  const vms: LastRead<VmRecord> = new Map();
  const trash: LastRead<TrashRecord> = new Map();
  const load = async <T>(name: string, schema: z.ZodType<T>, last: LastRead<T>) => {
    const text = await store.read(name);
    if (text === null) {
      last.delete(name);
      return null;
    }
    const known = last.get(name);
    if (known?.text === text) return known.record;
    try {
      const record = schema.parse(JSON.parse(text));
      last.set(name, { text, record });
      return record;
    } catch (cause) {
      throw new DriverError(
        "hypervisor_unavailable",
        `the simulated world's file ${where}/${name} is corrupt: mend it or delete it`,
        { cause },
      );
    }
  };
  const loadAll = async <T>(
    folder: string,
    schema: z.ZodType<T>,
    last: LastRead<T>,
  ): Promise<T[]> => {
    const names = await store.list(folder);
    const all = await Promise.all(names.map((name) => load(`${folder}/${name}`, schema, last)));
    return all.filter((record) => record !== null);
  };
  return {
    vms: () => loadAll("vms", VmRecord, vms),
    vm: (vmId) => load(`vms/${vmId}.json`, VmRecord, vms),
    putVm: (record) => store.write(`vms/${record.vmId}.json`, JSON.stringify(record)),
    removeVm: (vmId) => store.remove(`vms/${vmId}.json`),
    trash: () => loadAll("trash", TrashRecord, trash),
    putTrash: (record) => store.write(`trash/${record.serial}.json`, JSON.stringify(record)),
    removeTrash: (serial) => store.remove(`trash/${serial}.json`),
  };
}
