import { createRoute, z } from "@hono/zod-openapi";
import { UsageQuery, UsageView } from "#core/contracts/api/usage.ts";
import { idIn } from "#core/ids.ts";
import type { Deps } from "#commands/deps.ts";
import { showUsage } from "#commands/usage/show-usage.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { toUsageView } from "#functions/views.ts";

const usageRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer", "staff"], "vms:read"),
    operationId: "showUsage",
    summary: "What a VM has used, by hour or day",
    tags: ["VMs"],
    method: "get",
    path: "/v1/vms/{id}/usage",
    request: { params: z.object({ id: idIn("vm") }), query: UsageQuery },
    responses: {
      200: {
        description: "Sums and buckets",
        content: { "application/json": { schema: UsageView } },
      },
      ...problems("vm_not_found"),
    },
  });

export const usageRoutes = (deps: Deps) =>
  newRouter<AccountEnv>().openapi(usageRoute(deps), async (c) => {
    const { from, to, by } = c.req.valid("query");
    const usage = await showUsage(deps, c.get("who"), {
      vmId: c.req.valid("param").id,
      from: from === undefined ? undefined : new Date(from),
      to: to === undefined ? undefined : new Date(to),
      by,
    });
    return c.json(toUsageView(unwrap(usage)), 200);
  });
