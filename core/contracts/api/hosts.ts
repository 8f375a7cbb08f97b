import { z } from "@hono/zod-openapi";
import { HOST_STATES } from "#core/hosts/place-vm.ts";
import { idIn, idOut } from "#core/ids.ts";
import { pageOf } from "./page.ts";
import { use } from "#core/contracts/named.ts";
import { Hypervisor, Instant } from "#core/contracts/values.ts";

const CapacityView = z
  .object({ vcpus: z.int(), memoryMib: z.int(), diskGib: z.int(), vms: z.int() })
  .openapi("HostCapacity");

export const HostView = z
  .object({
    id: idOut("host"),
    name: z.string(),
    locationId: idOut("location"),
    state: z.enum(HOST_STATES).openapi("HostState"),
    hypervisor: use(Hypervisor).nullable(),
    accelerator: z.string().nullable(),
    testOnly: z.boolean(),
    capacity: CapacityView,
    allocated: CapacityView,
    desiredGeneration: z.int(),
    lastSeenAt: Instant.nullable(),
    createdAt: Instant,
  })
  .openapi("Host");
export type HostView = z.infer<typeof HostView>;

export const AddHost = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/),
    locationId: idIn("location"),
    testOnly: z.boolean().default(false),
    cpuOvercommit: z.int().min(1).max(32).default(4),
  })
  .openapi("AddHost");

export const AddedHost = z
  .object({
    host: HostView,
    joinToken: z
      .string()
      .openapi({ description: "For `berth-agent enroll`; works once, within 15 minutes." }),
    joinTokenExpiresAt: Instant,
  })
  .openapi("AddedHost");

export const HostPage = pageOf("HostPage", HostView);
