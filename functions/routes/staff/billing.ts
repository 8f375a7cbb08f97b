import { createRoute, z } from "@hono/zod-openapi";
import { ResizeForStaff, StaffResizePlan } from "#core/contracts/api/resizes.ts";
import { RequestedAction } from "#core/contracts/api/vms.ts";
import { idIn } from "#core/ids.ts";
import { resizeForStaff, showStaffResize } from "#commands/billing/resize-for-staff.ts";
import type { Deps } from "#commands/deps.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { OptionalIdempotencyKey, requestKey } from "#functions/idempotency-key.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { toStaffResizeView } from "#functions/quote-views.ts";
import { newRouter } from "#functions/router.ts";
import { toActionView } from "#functions/views.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const resizeRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:write"),
    operationId: "resizeForStaff",
    summary: "Resize a VM, or look what that would do",
    description:
      "As the customer's own, begun by staff: the action goes through the same steps, and what is due is asked of who pays. Also of a VM that another billing system or staff themselves pay for: then nobody is asked for money. The hash names what " +
      "it stands on and how it would go; amounts are prorated to the second, and are not in it.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/vms/{id}/resize",
    request: {
      headers: OptionalIdempotencyKey,
      params: z.object({ id: idIn("vm") }),
      body: { required: true, content: json(ResizeForStaff) },
    },
    responses: {
      200: { description: "What it would do", content: json(StaffResizePlan) },
      202: { description: "Begun", content: json(RequestedAction) },
      ...problems("vm_not_found", "plan_changed", "resize_refused", "payment_provider_unavailable"),
    },
  });

/** What staff change of what was bought. */
export const staffResizeRoutes = (deps: Deps) =>
  newRouter<AccountEnv>().openapi(resizeRoute(deps), async (c) => {
    const { dryRun, reason, hash, ...wanted } = c.req.valid("json");
    const who = c.get("who");
    const asked = { who, vmId: c.req.valid("param").id, ...wanted };
    if (dryRun) return c.json(toStaffResizeView(unwrap(await showStaffResize(deps, asked))), 200);
    const key = requestKey(c, c.req.valid("header")["idempotency-key"], c.req.valid("json"));
    const begun = await resizeForStaff(
      deps,
      { ...asked, hash, reason, key },
      RequestedAction,
      (of) => ({
        action: toActionView(of.action, who, null, of.change),
      }),
    );
    await ringNow(deps);
    return c.json(unwrap(begun), 202);
  });
