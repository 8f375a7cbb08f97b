import { z } from "@hono/zod-openapi";
import { HeldImage, MissingCapability } from "#core/contracts/agent/report.ts";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";
import { WHY_NOT_HERE_CODES } from "#core/hosts/why-not-here.ts";
import { idOut } from "#core/ids.ts";
import { ImageOrigin } from "./catalogue.ts";
import { DrainView } from "./drains.ts";
import { FindingView } from "./findings.ts";
import { HostView, MaintenanceView } from "./hosts.ts";
import { pageOf } from "./page.ts";

/* A host as staff look at it: how it stands, and why. */

const Obstacle = z
  .object({
    code: z.enum(WHY_NOT_HERE_CODES).openapi("WhyNotHere"),
    detail: z.string().openapi({ description: "For people." }),
  })
  .openapi("PlacementObstacle");

const STANDING = {
  ...HostView.shape,
  silentSince: Instant.nullable().openapi({
    description: "When it was last heard of, if that is five minutes ago or longer.",
  }),
  whyNoVms: z.array(use(Obstacle)).openapi({
    description:
      "Why it gets no VMs, by the rules of placement: empty when one of the plans on sale would be placed there. Of what stands " +
      "against each plan and image, what stands against those that it is nearest to.",
  }),
  whyNotAll: z
    .array(use(Obstacle))
    .openapi({ description: "All that keeps it from some of the plans and images on sale." }),
  openFindings: z.int(),
};
export const HostStandingView = z.object(STANDING).openapi("HostStanding");
export type HostStandingView = z.infer<typeof HostStandingView>;
export const HostStandingPage = pageOf("HostStandingPage", HostStandingView);

export const HOST_HINT_CODES = ["test_mark_on_hardware", "images_not_told"] as const;
export type HostHint = (typeof HOST_HINT_CODES)[number];
export const HOST_HINTS = {
  test_mark_on_hardware:
    "staff marked it for tests though its guests run on hardware: customers' VMs are placed there all the same, and what a " +
    "simulated guest says there is believed",
  images_not_told: "its agent does not say which images it holds, so it is taken to hold each",
} as const satisfies Record<HostHint, string>;

export const HostDetailsView = z
  .object({
    ...STANDING,
    maintenance: use(MaintenanceView).nullable().openapi({
      description: "The one that is planned, or goes on.",
    }),
    drain: use(DrainView).nullable().openapi({
      description: "How far it is emptied; null unless it is `draining`.",
    }),
    capabilities: z
      .record(z.string(), z.boolean())
      .openapi({ description: "What it can do; empty before it has said so." }),
    missing: z.array(use(MissingCapability)).openapi({
      description: "Why each capability is missing that is, as its agent says.",
    }),
    images: z
      .array(z.object({ ...HeldImage.shape, ...ImageOrigin.shape }).openapi("HostHeldImage"))
      .nullable()
      .openapi({ description: "What it holds; null: its agent does not say." }),
    strangers: z
      .array(
        z.object({ vmId: idOut("vm"), detail: z.string(), since: Instant }).openapi("HostStranger"),
      )
      .openapi({ description: "VMs with our tag that it should not have." }),
    findings: z
      .array(use(FindingView))
      .openapi({ description: "What is amiss now, the newest first; 100 at most." }),
    hints: z
      .array(
        z
          .object({
            code: z.enum(HOST_HINT_CODES).openapi("HostHint"),
            detail: z.string(),
          })
          .openapi("HostHintView"),
      )
      .openapi({ description: "What is not amiss, and better known." }),
  })
  .openapi("HostDetails");
export type HostDetailsView = z.infer<typeof HostDetailsView>;
