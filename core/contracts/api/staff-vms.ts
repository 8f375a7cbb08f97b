import { z } from "@hono/zod-openapi";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";
import { idIn, idOut } from "#core/ids.ts";
import { WAITS_FOR_CODES } from "#core/vms/waits-for.ts";
import { FindingView } from "./findings.ts";
import { OrderedPageQuery, pageOf, sortBy } from "./page.ts";
import { ActionView, VmView } from "./vms.ts";

/* A VM as staff look at it: how it stands, and why. */

const StaffAction = z
  .object({
    ...ActionView.shape,
    waitsFor: z
      .object({ code: z.enum(WAITS_FOR_CODES).openapi("WaitsForCode"), detail: z.string() })
      .nullable()
      .openapi("WaitsFor", { description: "What it waits for; null: it has ended." }),
  })
  .openapi("StaffAction");

export const StaffVmView = z
  .object({
    ...VmView.shape,
    lastError: z
      .object({
        code: z.string(),
        detail: z.string(),
        since: Instant,
        times: z
          .int()
          .openapi({ description: "In how many reports of its host, without a break." }),
      })
      .nullable()
      .openapi("StaffVmError", {
        description:
          "Why it is not as it should be, in its host's own words; null: nothing is amiss.",
      }),
    host: z
      .object({
        id: idOut("host"),
        name: z.string(),
        lastSeenAt: Instant.nullable(),
        silentSince: Instant.nullable().openapi({
          description: "When it was last heard of, if that is five minutes ago or longer.",
        }),
      })
      .openapi("HostOfVm"),
    generation: z
      .object({ wanted: z.int(), seen: z.int() })
      .openapi("VmGenerations", { description: "`seen`: its host's last word is about that one." }),
    ownerEpoch: z.int(),
    observedAt: Instant.nullable(),
    deletedAt: Instant.nullable(),
    actions: z.array(use(StaffAction)).openapi({ description: "The newest 20." }),
    findings: z.array(use(FindingView)).openapi({ description: "What is amiss with it now." }),
  })
  .openapi("StaffVm");
export type StaffVmView = z.infer<typeof StaffVmView>;

export const StaffVmQuery = OrderedPageQuery.extend({
  accountId: idIn("account").optional(),
  hostId: idIn("host").optional(),
  locationId: idIn("location").optional(),
  planId: idIn("plan").optional(),
  presence: z
    .enum(["here", "lost", "gone", "any"])
    .openapi("VmPresence")
    .default("here")
    .openapi({
      param: {
        description:
          "`here`: not gone; `lost`: its host says that it is not there, though it should be; `gone`: it was deleted.",
      },
    }),
  sort: sortBy(["createdAt", "hostname"], "-createdAt"),
});
export const StaffVmPage = pageOf(
  "StaffVmPage",
  z
    .object({
      ...VmView.shape,
      accountId: idOut("account"),
      hostId: idOut("host"),
      deletedAt: Instant.nullable(),
    })
    .openapi("ListedVm"),
);

export const StaffActionQuery = OrderedPageQuery.extend({
  vmId: idIn("vm").optional(),
  status: ActionView.shape.status.optional(),
  type: ActionView.shape.type.optional(),
  sort: sortBy(["startedAt"], "-startedAt"),
});
export const StaffActionPage = pageOf("ActionPage", ActionView);

export const CallOffAction = z
  .strictObject({
    abandon: z.boolean().default(false).openapi({
      description: "Give it up also when its host may have begun it; it then ends as `abandoned`.",
    }),
  })
  .openapi("CallOffAction");
