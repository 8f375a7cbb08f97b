import { z } from "@hono/zod-openapi";
import { VmSize as ApiVmSize } from "#core/vms/vm.ts";
import { use } from "#core/contracts/named.ts";
import {
  Hypervisor,
  ImageFileName,
  Ipv4,
  ObservedPower,
  Sha256,
  Text,
} from "#core/contracts/values.ts";
import { MigrationAddress, MoveReport } from "./moves.ts";

/** What an integer column holds. */
const MOST_INT = 2 ** 31 - 1;

/** The API's is strict, as a customer's misspelt field must be told; here a field more is passed over. */
const VmSize = z
  .object({
    vcpus: ApiVmSize.shape.vcpus,
    memoryMib: ApiVmSize.shape.memoryMib.max(MOST_INT),
    diskGib: ApiVmSize.shape.diskGib.max(MOST_INT),
  })
  .openapi("ObservedVmSize");

const SeenLimit = z.int().nonnegative().max(MOST_INT).nullable();

/** What the hypervisor holds a VM to; `null`: it does not. 0: its cards, or their directions, are not limited alike. */
export const ObservedLimits = z
  .object({
    /** Of each card in both directions, in Mbit/s. */
    bandwidthMbit: SeenLimit,
    /** Reads and writes together on the system disk, in a second. */
    diskIops: SeenLimit,
  })
  .openapi("ObservedLimits");

const MOST_IMAGES = 1000;

/** How the guest itself was seen to be up; `null` while it was not. */
export const GuestEvidence = z
  .object({
    source: z.enum(["console", "guest_agent", "simulated"]).openapi("EvidenceSource"),
    hostname: Text(253),
  })
  .openapi("GuestEvidence");
export type GuestEvidence = z.infer<typeof GuestEvidence>;

/** One VM as the hypervisor has it. Only VMs that carry Berth's own tag are listed. */
export const ObservedVm = z
  .object({
    vmId: z.uuid(),
    ownerEpoch: z.int().positive(),
    power: ObservedPower,
    size: VmSize,
    /** Of what runs, as long as it runs. Left out by agents of before, and where it cannot be seen: then they are not known. */
    limits: use(ObservedLimits).optional(),
    /** The most vCPUs that it may have without a restart. Left out where that is not known. */
    hotVcpus: z.int().positive().max(MOST_INT).optional(),
    /** false while a creation was cut short: disk, seed or definition is still missing. */
    complete: z.boolean(),
    /** Changes with each start of the VM's process: the epoch of its counters. null while off. */
    bootEpoch: Text(64).nullable(),
    guest: use(GuestEvidence).nullable(),
    /** false: it runs, and nothing defines it any more, so that it is gone when it stops. Left out where that cannot be. */
    defined: z.boolean().optional(),
    /** The first-boot seed, which holds secrets, is still on the host. */
    seeded: z.boolean(),
  })
  .openapi("ObservedVm");
export type ObservedVm = z.infer<typeof ObservedVm>;

/** Why an agent could not do what was asked. Stable; `detail` is for people. */
export const AGENT_ERROR_CODES = [
  "image_missing",
  "out_of_disk",
  "out_of_memory",
  "not_ours",
  "stale_epoch",
  "vm_missing",
  "hypervisor_unavailable",
  "unsupported",
  // The VM holds something that this agent does not know: a newer one will.
  "unsupported_by_agent",
  // Done once the VM is off. `unsupported` is refused however often it is asked.
  "must_be_off",
  "beyond_limits",
  "destroy_limit",
  "timed_out",
  "driver_failed",
] as const;
export type AgentErrorCode = (typeof AGENT_ERROR_CODES)[number];

const AgentError = z.object({ code: z.enum(AGENT_ERROR_CODES), detail: Text(1000) });

/** A code that a newer agent has and we have not is kept as it is: it is shown to people, and nothing goes by it. */
const ReceivedError = z
  .object({ ...AgentError.shape, code: z.string().regex(/^[a-z][a-z0-9_]{0,49}$/) })
  .openapi("AgentError");

const VM_REPORT = {
  vmId: z.uuid(),
  generation: z.int().positive(),
  ownerEpoch: z.int().positive(),
  observed: use(ObservedVm).nullable(),
  /** true when the VM is as desired at `generation`. */
  settled: z.boolean(),
};

/** What one pass over one VM came to. `observed: null` is a positive finding: looked for, and not there. */
export const VmReport = z.object({ ...VM_REPORT, error: AgentError.nullable() });
export type VmReport = z.infer<typeof VmReport>;

const ReceivedVmReport = z
  .object({ ...VM_REPORT, error: use(ReceivedError).nullable() })
  .openapi("VmReport");
export type ReceivedVmReport = z.infer<typeof ReceivedVmReport>;

const ACTION_REPORT = {
  actionId: z.uuid(),
  vmId: z.uuid(),
  outcome: z.enum(["success", "error"]).openapi("ActionOutcome"),
};

export const ActionReport = z.object({ ...ACTION_REPORT, error: AgentError.nullable() });
export type ActionReport = z.infer<typeof ActionReport>;

const ReceivedActionReport = z
  .object({ ...ACTION_REPORT, error: use(ReceivedError).nullable() })
  .openapi("ActionReport");

/** What a host can do; the planner and the control plane read these, never the driver's kind. */
export const DriverCapabilities = z
  .object({
    /** Grow vCPUs or memory of a running VM, up to what it was started with. */
    hotResize: z.boolean(),
    /** Which of the two, where it can. Agents of before say neither, and then it is both. */
    hotVcpus: z.boolean().optional(),
    hotMemory: z.boolean().optional(),
    /** Grow the disk of a running VM. */
    hotDiskGrow: z.boolean(),
    gracefulStop: z.boolean(),
    liveSnapshot: z.boolean(),
    /** Its seeds can give root of a Linux guest a password. Agents of before the word `root-password` do not say so. */
    rootPassword: z.boolean().optional(),
    /** What it gives to images that ask for it. Agents of before the word `image-hardware` say none of these. */
    bios: z.boolean().optional(),
    uefi: z.boolean().optional(),
    secureBoot: z.boolean().optional(),
    /** Also with signatures that Microsoft gives to others. */
    secureBootUefiCa: z.boolean().optional(),
    /** The bus that an image names. */
    diskBus: z.boolean().optional(),
    /** It can define a VM again on the disk that lies there. Agents of before the word `repair` do not say so. */
    adoptDisk: z.boolean().optional(),
    /** It can bring a VM's disk back from its trash. Agents of before the word `restore-trash` do not say so. */
    restoreTrash: z.boolean().optional(),
    /** It can give a VM's disk away and take one, while the VM is off. Agents of before the word `move` do not say so. */
    moveCold: z.boolean().optional(),
    /** And while it runs, with a host of the same hypervisor. */
    moveLive: z.boolean().optional(),
    /** Where there is no hardware for its guests they may be emulated: slow, for tests only. Left out: it does not say. */
    emulation: z.boolean().optional(),
    bandwidthLimit: z.boolean(),
    iopsLimit: z.boolean(),
  })
  .openapi("DriverCapabilities");
export type DriverCapabilities = z.infer<typeof DriverCapabilities>;

/** Why a host lacks a capability that its driver has a word for: what is amiss there, or what the driver has no call for. */
export const MissingCapability = z
  .object({ capability: z.string().regex(/^[a-zA-Z]{1,50}$/), why: Text(300) })
  .openapi("MissingCapability");
export type MissingCapability = z.infer<typeof MissingCapability>;

/** An image in a host's folder. */
export const HeldImage = z
  .object({
    /** Its name without the ending, as the catalogue has it. */
    file: ImageFileName,
    /** What a guest would see as its disk. */
    virtualBytes: z.int().positive(),
    /** Of the file's bytes; null while it is not known yet: a large file takes its time. */
    sha256: Sha256.nullable(),
    /** The file is another one than it was under this name: what VMs have of it may be broken, and no more are made. */
    changed: z.boolean(),
  })
  .openapi("HeldImage");
export type HeldImage = z.infer<typeof HeldImage>;

/** The processor that a host's guests see. */
export const HostCpu = z
  .object({
    /** As its hypervisor names it. */
    model: Text(100),
    vendor: Text(100).optional(),
    /** All that a guest may find in it, by the hypervisor's names. */
    features: z.array(Text(50)).max(1000),
  })
  .openapi("HostCpu");
export type HostCpu = z.infer<typeof HostCpu>;

export const HostFacts = z
  .object({
    hypervisor: Hypervisor,
    hypervisorVersion: Text(200),
    /** The system that the host runs, with its kernel. Agents of before 0037 leave it out. */
    osVersion: Text(200).optional(),
    /** `tcg` is emulation, slow, and `simulated` runs nothing: both are offered only on hosts that staff marked for tests. */
    accelerator: z.enum(["hardware", "tcg", "simulated"]).openapi("Accelerator"),
    capabilities: DriverCapabilities,
    /** Only people read it. Agents of before leave it out. */
    missing: z.array(use(MissingCapability)).max(50).optional(),
    cpuThreads: z.int().positive().max(65_536),
    memoryMib: z
      .int()
      .positive()
      .max(2 ** 30),
    diskGib: z
      .int()
      .nonnegative()
      .max(2 ** 30),
    agentVersion: Text(50),
    /** Left out by who cannot say: such a host is taken to hold every image. */
    images: z.array(use(HeldImage)).max(MOST_IMAGES).optional(),
    /** Left out: it does not say. */
    cpu: use(HostCpu).optional(),
    /** VLANs that it has a bridge for; left out: any, or it does not say. */
    vlans: z.array(z.int().min(1).max(4094)).max(4094).optional(),
    /** Where its agent takes disks of VMs that move to it; left out: nowhere. */
    migrationAddress: use(MigrationAddress).optional(),
  })
  .openapi("HostFacts");
export type HostFacts = z.infer<typeof HostFacts>;

const MOST_REPORTED = 2000;

/** What a VM was, by the document of its host: what a database that was restored to before it does not know. */
export const WasDesired = z
  .object({
    hostname: Text(253),
    imageId: z.uuid(),
    size: VmSize,
    address: Ipv4,
  })
  .openapi("StrangeVmWas");
export type WasDesired = z.infer<typeof WasDesired>;

const Stranger = z
  .object({
    vmId: z.uuid(),
    ownerEpoch: z.int().positive(),
    /** Agents of before leave it out. */
    power: ObservedPower.optional(),
    /** As the last document that named it had it; left out by agents of before, and when none did. */
    was: use(WasDesired).optional(),
  })
  .openapi("StrangeVm");

/** What a host found amiss with a VM that others had their hands on. It did what it could; staff must hear of it. */
export const HOST_FINDINGS = [
  // The memory that somebody had saved could not be restored: it was dropped, and the VM booted.
  "saved_state_dropped",
  // Layers of its disk that somebody put outside the agent's folders are still there after its delete, readable.
  "layers_left",
  // A file of its disk is gone: the VM is off for good, unless somebody brings it back.
  "disk_layer_missing",
  // Its NICs could send from foreign addresses: what forbids it was missing, and was put back.
  "spoof_guard_restored",
] as const;

/** `vmId`: of what is about the host itself, the host's own id. */
const FINDING = { vmId: z.uuid(), detail: Text(1000) };
const Finding = z.object({ ...FINDING, code: z.enum(HOST_FINDINGS) });
export type HostFinding = z.infer<typeof Finding>;

/** And with itself: it was to upgrade its agent, and could not. `detail` names the version and the reason. */
const OwnFinding = z.object({ code: z.literal("upgrade_failed"), detail: Text(1000) });
export type OwnFinding = z.infer<typeof OwnFinding>;

/** As with errors, a code that we have no word for is kept as it is. Without a VM it is of the host itself. */
const ReceivedFinding = z
  .object({
    vmId: z.uuid().optional(),
    detail: Text(1000),
    code: z.string().regex(/^[a-z][a-z0-9_]{0,49}$/),
  })
  .openapi("HostFinding");

/** A report holds so many at most. */
export const MOST_FINDINGS = 100;
const MOST_MOVES = 500;

const RefusedDesired = z.object({
  generation: z.int().nonnegative(),
  hash: z.string().max(100),
  reason: z.enum(["older_generation", "same_generation_other_hash", "wrong_hash", "wrong_host"]),
});

/**
 * Which report of a host's this is. `process` counts the lives of its agent, and is on its disk before the first report of
 * each; `seq` counts within one. A host whose count went back (its state was lost, or put back from a copy) enrols again.
 */
export const ReportSerial = z
  .object({
    process: z.int().positive().max(MOST_INT),
    seq: z.int().positive().max(MOST_INT),
  })
  .openapi("ReportSerial");
export type ReportSerial = z.infer<typeof ReportSerial>;

const OF_THE_SENDER = {
  /**
   * Why the host's VMs have not been seen for a while: its hypervisor does not answer. Left out while they are seen. A report that
   * says so is no word of its VMs.
   */
  hypervisorAway: z
    .object({ code: z.string().max(50), detail: Text(1000) })
    .openapi("HypervisorAway")
    .optional(),
  /** Left out by agents that do not count: theirs are taken in whatever order they come. */
  serial: ReportSerial.optional(),
  /** The host's clock less the control plane's; left out while it is not known. What no column holds is cut. */
  clockOffsetSeconds: z
    .int()
    .transform((s) => Math.max(-MOST_INT, Math.min(MOST_INT, s)))
    .optional(),
};

/** `POST /agent/v1/reports`. A VM that is left out is unknown, never off. */
export const AgentReport = z.object({
  desiredGeneration: z.int().nonnegative(),
  vms: z.array(VmReport).max(MOST_REPORTED),
  actions: z.array(ActionReport).max(MOST_REPORTED),
  /** VMs with our tag that the desired document does not name: never touched, only told. */
  strangers: z.array(Stranger).max(MOST_REPORTED),
  facts: HostFacts.nullable(),
  /** A desired document that the agent would not apply; left out while there is none. Somebody must look. */
  refusedDesired: RefusedDesired.optional(),
  /** How far it is with its parts of moves; left out while there are none. */
  moves: z.array(MoveReport).max(MOST_MOVES).optional(),
  /** Left out while there are none. */
  findings: z
    .array(z.union([Finding, OwnFinding]))
    .max(MOST_FINDINGS)
    .optional(),
  ...OF_THE_SENDER,
});
export type AgentReport = z.infer<typeof AgentReport>;

const OfALaterPart = z.looseObject({}).openapi("OfALaterPart", {
  description:
    "Something that this control plane cannot read. It is passed over, and costs nothing beside it.",
});

/** null for an object that cannot be read. */
const orNull = <S extends z.ZodType>(schema: S) =>
  z.union([schema, use(OfALaterPart).transform(() => null)]);

/**
 * A report as the control plane reads it: each thing in it alone. `null` stands for one that cannot be read (a newer agent
 * may see what we have no word for), and costs no other.
 */
export const ReceivedReport = z
  .object({
    desiredGeneration: z.int().nonnegative(),
    vms: z.array(orNull(use(ReceivedVmReport))).max(MOST_REPORTED),
    actions: z.array(orNull(use(ReceivedActionReport))).max(MOST_REPORTED),
    strangers: z.array(orNull(use(Stranger))).max(MOST_REPORTED),
    facts: orNull(use(HostFacts)).nullable(),
    refusedDesired: z
      .object({ ...RefusedDesired.shape, reason: Text(100) })
      .openapi("RefusedDesired")
      .optional(),
    moves: z
      .array(orNull(use(MoveReport)))
      .max(MOST_MOVES)
      .optional(),
    findings: z
      .array(orNull(use(ReceivedFinding)))
      .max(MOST_FINDINGS)
      .optional(),
    ...OF_THE_SENDER,
  })
  .openapi("AgentReport");
export type ReceivedReport = z.infer<typeof ReceivedReport>;

/** `accepted`: VMs' reports that counted. `ignored`: stale or foreign ones, and ones that could not be read. */
export const ReportReceipt = z
  .object({ accepted: z.int(), ignored: z.int() })
  .openapi("ReportReceipt");
export type ReportReceipt = z.infer<typeof ReportReceipt>;
