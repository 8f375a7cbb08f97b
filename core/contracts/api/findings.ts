import { z } from "@hono/zod-openapi";
import { idIn, idOut } from "#core/ids.ts";
import { PageQuery, pageOf } from "./page.ts";
import { Instant } from "#core/contracts/values.ts";

const Kind = z.string().regex(/^[a-z][a-z0-9_]{0,59}$/);

export const FindingView = z
  .object({
    id: idOut("finding"),
    kind: Kind.openapi({
      description:
        "`vm_lost`, `vm_seen_after_delete`, `vm_unknown_after_restore`, `stranger`, `clock_off`, `image_changed`, " +
        "`image_fetch_failed`, `desired_refused`, `host_silent`, `maintenance_overran`, `hypervisor_away`, `step_failing`, `emulation_disagrees`, " +
        "`agent_old`, `upgrade_failed`, `figures_differ`, `plan_change_hangs`, `plan_migration_hangs`, `move_hangs`, `size_not_bought`, `price_not_bought`, or a word of the host's agent, such as `saved_state_dropped`.",
    }),
    hostId: idOut("host"),
    vmId: idOut("vm").nullable(),
    subject: z
      .string()
      .openapi({ description: "The id of the VM or the host, or an image's file." }),
    detail: z.string().openapi({ description: "For people; as it was told last." }),
    firstSeenAt: Instant,
    lastSeenAt: Instant,
    endedAt: Instant.nullable().openapi({ description: "null: it is so still." }),
  })
  .openapi("Finding");
export type FindingView = z.infer<typeof FindingView>;

export const FindingQuery = PageQuery.extend({
  state: z.enum(["open", "ended"]).openapi("FindingState").optional(),
  hostId: idIn("host").optional(),
  vmId: idIn("vm").optional(),
  kind: Kind.optional(),
});

export const FindingPage = pageOf("FindingPage", FindingView);
