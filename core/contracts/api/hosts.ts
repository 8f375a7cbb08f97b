import { z } from "@hono/zod-openapi";
import { USUAL_CEILING } from "#core/hosts/capacity.ts";
import { AGENT_AGES } from "#core/fleet/agent-age.ts";
import { HOST_STATES } from "#core/hosts/host-state.ts";
import { idIn, idOut } from "#core/ids.ts";
import { USUAL_NOTICE_HOURS } from "#core/hosts/maintenance.ts";
import { HostGroup } from "./fleet.ts";
import { FORCED, REASON } from "./forced.ts";
import { OrderedPageQuery, sortBy } from "./page.ts";
import { use } from "#core/contracts/named.ts";
import { Hypervisor, Instant } from "#core/contracts/values.ts";

const CapacityView = z
  .object({ vcpus: z.int(), memoryMib: z.int(), diskGib: z.int(), vms: z.int() })
  .openapi("HostCapacity");

/** What an integer column holds, and far more than any host has. */
const MOST = 2 ** 30;
const room = z.int().min(0).max(MOST);
const CEILING = {
  vcpus: room.openapi({ description: "CPU threads times the overcommit." }),
  memoryMib: room,
  diskGib: room,
};

const HostStateName = z.enum(HOST_STATES).openapi("HostState", {
  description:
    "`cordoned`: nothing new comes to it. `draining`: the same, while what is on it moves away. `maintenance`: somebody is at it, until " +
    "the end that was announced nobody is alarmed when it is silent. `retired`: it is gone for good.",
});

export const HostView = z
  .object({
    id: idOut("host"),
    name: z.string(),
    locationId: idOut("location"),
    state: HostStateName,
    hypervisor: use(Hypervisor).nullable(),
    accelerator: z.string().nullable(),
    testOnly: z.boolean(),
    group: z.string().nullable(),
    agentVersion: z.string().nullable(),
    wantedAgentVersion: z.string().nullable().openapi({
      description: "What a rollout told it to upgrade to; null: it keeps what it has.",
    }),
    agentAge: z
      .enum(AGENT_AGES)
      .nullable()
      .openapi("AgentAge", {
        description:
          "By the registered releases: `too_old` is more than two behind, and a finding (`agent_old`). null where it is the " +
          "version of no release, or none is registered.",
      }),
    understands: z.array(z.string()).nullable().openapi({
      description:
        "What its agent understands of what a VM may need: no other VM is put on it. null until it says.",
    }),
    hypervisorVersion: z.string().nullable(),
    osVersion: z.string().nullable().openapi({
      description: "The host's system and kernel; null while its agent does not say.",
    }),
    capacity: CapacityView,
    ceiling: z
      .object({ vcpus: z.int(), memoryMib: z.int(), diskGib: z.int() })
      .openapi("HostCeiling"),
    allocated: CapacityView,
    cpuOvercommit: z.int(),
    desiredGeneration: z.int(),
    clockOffsetSeconds: z.int().nullable().openapi({
      description:
        "The host's clock less ours, as its agent last said; null while it does not say.",
    }),
    lastSeenAt: Instant.nullable(),
    createdAt: Instant,
  })
  .openapi("Host");
export type HostView = z.infer<typeof HostView>;

export const HostQuery = OrderedPageQuery.extend({
  locationId: idIn("location").optional(),
  state: use(HostStateName).optional(),
  group: HostGroup.optional(),
  sort: sortBy(["createdAt", "name"], "createdAt"),
});

const HostName = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/);
const CpuOvercommit = z.int().min(1).max(32);

export const AddHost = z
  .strictObject({
    name: HostName,
    locationId: idIn("location"),
    group: HostGroup.optional().openapi({
      description: "Hosts that staff treat alike, as in a rollout of the agent.",
    }),
    testOnly: z.boolean().default(false),
    cpuOvercommit: CpuOvercommit.default(4),
    ceiling: z
      .strictObject(CEILING)
      .optional()
      .openapi("NewHostCeiling", {
        description:
          "The most that it may give away, whatever its agent says of it. Left out: " +
          `${USUAL_CEILING.vcpus} vCPUs, ${USUAL_CEILING.memoryMib / 1024} GiB of memory and ${USUAL_CEILING.diskGib / 1024} TiB of disk.`,
      }),
  })
  .openapi("AddHost");

export const ChangeHost = z
  .strictObject({
    name: HostName.optional(),
    testOnly: z.boolean().optional().openapi({
      description: "Changes only while nothing has room on it.",
    }),
    cpuOvercommit: CpuOvercommit.optional().openapi({
      description:
        "A lower one takes nothing back of what is given away: it only gets nothing more.",
    }),
    ceiling: z
      .strictObject(CEILING)
      .partial()
      .optional()
      .openapi("ChangedHostCeiling", { description: "What is left out stays as it is." }),
    group: HostGroup.nullable().optional().openapi({
      description: "Hosts that staff treat alike, as in a rollout of the agent; null: of none.",
    }),
  })
  .openapi("ChangeHost");

/** What moves a host from one state to another: a force, by its reason (ADR 0055). */
export const MoveHost = z.strictObject({ ...REASON, ...FORCED }).openapi("MoveHost");

export const MOST_NOTICE_HOURS = 30 * 24;

export const PlanMaintenance = z
  .strictObject({
    startsAt: Instant.optional().openapi({
      description: "Left out: as it is planned already, or now.",
    }),
    endsAt: Instant.openapi({
      description:
        "Until then nobody is alarmed when it is silent; later it is a finding that it goes on.",
    }),
    noticeHours: z
      .int()
      .min(0)
      .max(MOST_NOTICE_HOURS)
      .optional()
      .openapi({
        description:
          `Customers are told so long before it begins. Left out: as it is planned already, or ${USUAL_NOTICE_HOURS}. 0 is for what ` +
          "cannot wait: they are told at its beginning.",
      }),
    ...REASON,
    ...FORCED,
  })
  .openapi("PlanMaintenance");

export const MaintenanceView = z
  .object({
    startsAt: Instant,
    endsAt: Instant,
    noticeHours: z.int(),
    begunAt: Instant.nullable(),
    told: z.int().openapi({ description: "So many customers were mailed its times." }),
  })
  .openapi("Maintenance");
export type MaintenanceView = z.infer<typeof MaintenanceView>;

export const AddedHost = z
  .object({
    host: HostView,
    joinToken: z
      .string()
      .openapi({ description: "For `berth-agent enroll`; works once, within 15 minutes." }),
    joinTokenExpiresAt: Instant,
  })
  .openapi("AddedHost");
