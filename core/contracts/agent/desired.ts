import { z } from "@hono/zod-openapi";
import {
  VmSize as ApiVmSize,
  ONE_SHOT_ACTIONS,
  PRESENCE,
  REPAIRS,
  STOP_MODES,
} from "#core/vms/vm.ts";
import {
  DesiredPower,
  DiskBus,
  Firmware,
  ImageFileName,
  Instant,
  Ipv4,
  OsFamily,
  SecureBoot,
} from "#core/contracts/values.ts";
import { use } from "#core/contracts/named.ts";
import { DesiredMove } from "./moves.ts";

const Mac = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);

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
    file: ImageFileName,
    os: OsFamily,
    /** Least memory, below which the image does not boot. */
    minMemoryMib: z.int().positive(),
    /** What it asks of the machine around it; each is left out where it takes what the hypervisor gives of itself. */
    firmware: Firmware.optional(),
    secureBoot: SecureBoot.optional(),
    diskBus: DiskBus.optional(),
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
    /** True: the first boot gives root of a Linux guest the initial password, which is asked for with `POST …/initial-password`. */
    rootPassword: z.boolean().optional(),
    /** How a VM that was here, and is not, is brought back; left out: not at all. */
    repair: z.enum(REPAIRS).openapi("Repair").optional(),
    /** It moves between this host and another one, which is named in it; left out: it does not, or this host has no part in it. */
    move: use(DesiredMove).optional(),
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

/**
 * `POST /agent/v1/vms/{id}/initial-password`: for the seed of a VM that its host is about to make. The desired
 * document holds no secret of ours, as an agent keeps that on its disk.
 */
export const InitialPasswordAnswer = z
  .object({
    password: z.string().regex(/^[\x21-\x7e]{12,120}$/),
  })
  .openapi("InitialPasswordAnswer");
