import { z } from "@hono/zod-openapi";
import { USUAL_CEILING } from "#core/hosts/capacity.ts";
import { AGENT_AGES } from "#core/fleet/agent-age.ts";
import { HOST_STATES } from "#core/hosts/place-vm.ts";
import { idIn, idOut } from "#core/ids.ts";
import { HostGroup } from "./fleet.ts";
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

const HostStateName = z.enum(HOST_STATES).openapi("HostState");

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

export const AddHost = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/),
    locationId: idIn("location"),
    group: HostGroup.optional().openapi({
      description: "Hosts that staff treat alike, as in a rollout of the agent.",
    }),
    testOnly: z.boolean().default(false),
    cpuOvercommit: z.int().min(1).max(32).default(4),
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

export const AddedHost = z
  .object({
    host: HostView,
    joinToken: z
      .string()
      .openapi({ description: "For `berth-agent enroll`; works once, within 15 minutes." }),
    joinTokenExpiresAt: Instant,
  })
  .openapi("AddedHost");
