import { createRoute, z } from "@hono/zod-openapi";
import { ResizeForStaff, StaffResizePlan } from "#core/contracts/api/resizes.ts";
import { idIn } from "#core/ids.ts";
import { showStaffResize } from "#commands/billing/resize-for-staff.ts";
import type { Deps } from "#commands/deps.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { toStaffResizeView } from "#functions/quote-views.ts";
import { newRouter } from "#functions/router.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const resizeRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:write"),
    operationId: "resizeForStaff",
    summary: "What a resize by staff would do",
    description:
      "Also of a VM that another billing system or staff themselves pay for: then nobody is asked for money. The hash names what " +
      "it stands on and how it would go; amounts are prorated to the second, and are not in it.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/vms/{id}/resize",
    request: {
      params: z.object({ id: idIn("vm") }),
      body: { required: true, content: json(ResizeForStaff) },
    },
    responses: {
      200: { description: "What it would do", content: json(StaffResizePlan) },
      ...problems("vm_not_found", "payment_provider_unavailable"),
    },
  });

/** What staff change of what was bought. */
export const staffResizeRoutes = (deps: Deps) =>
  newRouter<AccountEnv>().openapi(resizeRoute(deps), async (c) => {
    const { planId, billingInterval, keepDisk, when, billing } = c.req.valid("json");
    const asked = { who: c.get("who"), vmId: c.req.valid("param").id };
    const shown = await showStaffResize(deps, {
      ...asked,
      planId,
      billingInterval,
      keepDisk,
      when,
      billing,
    });
    return c.json(toStaffResizeView(unwrap(shown)), 200);
  });
