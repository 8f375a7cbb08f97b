import { z } from "@hono/zod-openapi";
import { use } from "./named.ts";
import { HYPERVISORS } from "#core/hosts/limits.ts";
import {
  DESIRED_POWER,
  OBSERVED_POWER,
  ONE_SHOT_ACTIONS,
  OS_FAMILIES,
  PRESENCE,
  STOP_MODES,
  VmSize as ApiVmSize,
} from "#core/vms/vm.ts";

/*
 * The agent's wire (design §6). Ids are bare UUIDs here: the agent writes them into the hypervisor's own
 * metadata. Everything an agent sends is untrusted input.
 *
 * Nothing here is strict: either side may be the newer one, and what it does not know it passes over. What an agent
 * must not pass over is named in `needs` (docs/adr/0013-agents-wire-changes.md). What agents of protocol 1 get is
 * written out, for good, in `agent-protocol-1.ts`.
 */

export const CLOCK_PATTERN = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";
export const Instant = z.iso.datetime({ precision: 3 }).openapi({
  description: "RFC 3339, to the millisecond, in UTC",
  pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}T${CLOCK_PATTERN}\\.[0-9]{3}Z$`,
  example: "2026-03-01T12:00:00.000Z",
});
export const OsFamily = z.enum(OS_FAMILIES).openapi("OsFamily");
export const Hypervisor = z.enum(HYPERVISORS).openapi("Hypervisor");
export const DesiredPower = z.enum(DESIRED_POWER).openapi("DesiredPower");
export const ObservedPower = z.enum(OBSERVED_POWER).openapi("ObservedPower");
const ByteCount = z.string().regex(/^\d{1,20}$/);
const Mac = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
const Ipv4 = z.ipv4().openapi({ format: "ipv4" });
/**
 * For text from a host: NUL and halves of characters, which no database keeps, are replaced instead of refused. Some
 * of it comes from guests, and one guest must not spoil its host's whole report.
 */
const storable = (text: string) => text.toWellFormed().replaceAll("\0", "\ufffd");
const Text = (max: number) => z.string().max(max).transform(storable);
/** What an integer column holds. */
const MOST_INT = 2 ** 31 - 1;

/** The API's is strict, as a customer's misspelt field must be told; here a field more is passed over. */
const VmSize = z.object(ApiVmSize.shape).openapi("ObservedVmSize");

/** One NIC with its one pinned MAC and the only address it may send from. */
export const Nic = z
  .object({
    mac: Mac,
    ipv4: z
      .object({ address: Ipv4, prefix: z.int().min(0).max(32), gateway: Ipv4 })
      .openapi("NicIpv4"),
    /** null: untagged. */
    vlan: z.int().min(1).max(4094).nullable(),
    /** Both directions, in Mbit/s; null: not limited. */
    bandwidthMbit: z.int().positive().nullable(),
  })
  .openapi("Nic");
export type Nic = z.infer<typeof Nic>;

/** An image as the host finds it: a read-only file of this name in the host's image folder. */
export const HostImage = z
  .object({
    id: z.uuid(),
    /** A bare file name without its extension; each driver adds its own (`.qcow2`, `.vhdx`). */
    file: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,99}$/),
    os: OsFamily,
    /** Least memory, below which the image does not boot. */
    minMemoryMib: z.int().positive(),
  })
  .openapi("HostImage");
export type HostImage = z.infer<typeof HostImage>;

/** What one VM should be. Level-triggered: it says a state, never a step. */
export const DesiredVm = z
  .object({
    vmId: z.uuid(),
    /** Counts changes of desire; an agent never applies a lower one. */
    generation: z.int().positive(),
    /** Counts changes of the host that owns the VM; embedded in the domain and compared before a destroy. */
    ownerEpoch: z.int().positive(),
    presence: z.enum(PRESENCE).openapi("Presence"),
    /**
     * False once its host has shown it, whole, in this epoch. A VM that is then not found is trouble for people to
     * look at, never an order to make it again: "not found" alone re-creates nothing (invariant 20).
     */
    mayCreate: z.boolean(),
    power: DesiredPower,
    stopMode: z.enum(STOP_MODES).openapi("StopMode"),
    /** The VM may run until this instant; past it and the grace the agent stops it, on its own. */
    entitledUntil: Instant,
    hostname: z.string(),
    /** Without the API's upper bound: what is too much for its hypervisor is for the host to say (`beyond_limits`). */
    size: z.object({ ...ApiVmSize.shape, vcpus: z.int().positive() }).openapi("DesiredVmSize"),
    image: HostImage,
    nics: z.array(Nic).min(1).max(8),
    nameservers: z.array(Ipv4).max(4),
    sshKeys: z.array(z.string()).max(32),
    /** The customer's own cloud-init user-data, verbatim; null when none was given. */
    userData: z.string().nullable(),
    /** Total read and write operations a second on the system disk; null: not limited. */
    diskIops: z.int().positive().nullable(),
    pendingActions: z.array(
      z
        .object({ id: z.uuid(), type: z.enum(ONE_SHOT_ACTIONS).openapi("OneShotAction") })
        .openapi("PendingAction"),
    ),
    /**
     * Words for what an agent must understand to bring this VM about; left out while there are none. An agent that does
     * not know one of them refuses this VM alone (`unsupported_by_agent`).
     */
    needs: z.array(z.string()).optional(),
  })
  .openapi("DesiredVm");
export type DesiredVm = z.infer<typeof DesiredVm>;

/**
 * `GET /agent/v1/desired`: everything this host should have. `hash` is of `vms` as they are sent, as canonical JSON. Agents
 * read each VM alone (`host-agent/converge/read-document.ts`).
 */
export const DesiredDocument = z
  .object({
    hostId: z.uuid(),
    generation: z.int().nonnegative(),
    hash: z.string(),
    /** Seconds past `entitledUntil` for which the agent lets a VM run, so that an outage of ours stops nobody. */
    entitlementGraceSeconds: z.int().nonnegative(),
    vms: z.array(DesiredVm),
  })
  .openapi("DesiredDocument");
export type DesiredDocument = z.infer<typeof DesiredDocument>;

/** The document as an agent receives and keeps it: whatever it holds stays in it, and its VMs are not read yet. */
export const ReceivedDocument = z.looseObject({
  ...DesiredDocument.shape,
  vms: z.array(z.unknown()),
});
export type ReceivedDocument = z.infer<typeof ReceivedDocument>;

/** How the guest itself was seen to be up; `null` while it was not. */
export const GuestEvidence = z
  .object({
    source: z.enum(["console", "guest_agent", "simulated"]).openapi("EvidenceSource"),
    hostname: Text(253),
  })
  .openapi("GuestEvidence");
export type GuestEvidence = z.infer<typeof GuestEvidence>;

/**
 * `POST /agent/v1/vms/{id}/initial-password`: for the seed of a VM that its host is about to make. The desired
 * document holds no secret of ours, as an agent keeps that on its disk.
 */
export const InitialPasswordAnswer = z
  .object({
    password: z.string().regex(/^[\x21-\x7e]{12,120}$/),
  })
  .openapi("InitialPasswordAnswer");

/** One VM as the hypervisor has it. Only VMs that carry Berth's own tag are listed. */
export const ObservedVm = z
  .object({
    vmId: z.uuid(),
    ownerEpoch: z.int().positive(),
    power: ObservedPower,
    size: VmSize,
    /** false while a creation was cut short: disk, seed or definition is still missing. */
    complete: z.boolean(),
    /** Changes with each start of the VM's process: the epoch of its counters. null while off. */
    bootEpoch: Text(64).nullable(),
    guest: use(GuestEvidence).nullable(),
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
    /** Grow the disk of a running VM. */
    hotDiskGrow: z.boolean(),
    gracefulStop: z.boolean(),
    liveSnapshot: z.boolean(),
    bandwidthLimit: z.boolean(),
    iopsLimit: z.boolean(),
  })
  .openapi("DriverCapabilities");
export type DriverCapabilities = z.infer<typeof DriverCapabilities>;

export const HostFacts = z
  .object({
    hypervisor: Hypervisor,
    hypervisorVersion: Text(200),
    /** `tcg` is emulation: slow, and offered only on hosts that staff marked for tests. */
    accelerator: z.enum(["hardware", "tcg", "simulated"]).openapi("Accelerator"),
    capabilities: DriverCapabilities,
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
  })
  .openapi("HostFacts");
export type HostFacts = z.infer<typeof HostFacts>;

const MOST_REPORTED = 2000;
const Stranger = z.object({ vmId: z.uuid(), ownerEpoch: z.int().positive() }).openapi("StrangeVm");
const RefusedDesired = z.object({
  generation: z.int().nonnegative(),
  hash: z.string().max(100),
  reason: z.enum(["older_generation", "same_generation_other_hash", "wrong_hash", "wrong_host"]),
});

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
  })
  .openapi("AgentReport");
export type ReceivedReport = z.infer<typeof ReceivedReport>;
/** `accepted`: VMs' reports that counted. `ignored`: stale or foreign ones, and ones that could not be read. */
export const ReportReceipt = z
  .object({ accepted: z.int(), ignored: z.int() })
  .openapi("ReportReceipt");
export type ReportReceipt = z.infer<typeof ReportReceipt>;

/** Counters between two instants. `seq` counts up by one within (vmId, bootEpoch). */
export const UsageSample = z
  .object({
    vmId: z.uuid(),
    bootEpoch: z.string().min(1).max(64).transform(storable),
    seq: z.int().nonnegative().max(MOST_INT),
    from: Instant,
    to: Instant,
    cpuNs: ByteCount,
    /** One number for each NIC, in the order of `DesiredVm.nics`. */
    rxBytes: z.array(ByteCount).max(8),
    txBytes: z.array(ByteCount).max(8),
    readBytes: ByteCount,
    writeBytes: ByteCount,
    memoryBytes: ByteCount,
    diskBytes: ByteCount,
  })
  .openapi("UsageSample");
export type UsageSample = z.infer<typeof UsageSample>;
export const UsageBatch = z
  .object({ samples: z.array(UsageSample).min(1).max(1000) })
  .openapi("UsageBatch");
export type UsageBatch = z.infer<typeof UsageBatch>;
/**
 * Every sample of the batch may be forgotten: it is stored now, was stored before, or is refused for good. `nextSeq`
 * comes with `sequence_reused`: an agent that lost its marks goes on from there in this boot of the VM.
 */
export const UsageReceipt = z
  .object({
    stored: z.int(),
    duplicates: z.int(),
    refused: z.array(
      z
        .object({
          index: z.int(),
          code: z.string(),
          detail: z.string(),
          nextSeq: z.int().optional(),
        })
        .openapi("RefusedSample"),
    ),
  })
  .openapi("UsageReceipt");
export type UsageReceipt = z.infer<typeof UsageReceipt>;

/** `POST /agent/v1/enroll`: the one call that is authorised by a join token instead of a signature. */
export const EnrollRequest = z
  .object({
    joinToken: z.string().min(20).max(200),
    /** The agent's new Ed25519 public key as a JWK (RFC 8037). */
    publicKey: z
      .object({
        kty: z.literal("OKP").openapi("AgentKeyType"),
        crv: z.literal("Ed25519").openapi("AgentKeyCurve"),
        x: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
      })
      .openapi("AgentPublicKey"),
    facts: HostFacts,
  })
  .openapi("EnrollRequest");
export type EnrollRequest = z.infer<typeof EnrollRequest>;
export const EnrollAnswer = z
  .object({ hostId: z.uuid(), identityEpoch: z.int().positive() })
  .openapi("EnrollAnswer");
export type EnrollAnswer = z.infer<typeof EnrollAnswer>;

/** `POST /agent/v1/session`. `doorbell: null` when no queue can be had: the agent then only polls. */
export const AgentSession = z
  .object({
    doorbell: use(
      z
        .object({
          queueUrl: z.url(),
          region: z.string(),
          credentials: z
            .object({
              accessKeyId: z.string(),
              secretAccessKey: z.string(),
              sessionToken: z.string().nullable(),
              expiresAt: Instant,
            })
            .openapi("DoorbellCredentials"),
        })
        .openapi("AgentDoorbell"),
    ).nullable(),
    intervals: z
      .object({
        resyncSeconds: z.number().positive(),
        usageSampleSeconds: z.number().positive(),
        usageFlushSeconds: z.number().positive(),
      })
      .openapi("AgentIntervals"),
  })
  .openapi("AgentSession");
export type AgentSession = z.infer<typeof AgentSession>;

/** The doorbell: ids and a generation, no truth. */
export const Doorbell = z.object({ hostId: z.uuid(), generation: z.int().nonnegative() });
export type Doorbell = z.infer<typeof Doorbell>;
