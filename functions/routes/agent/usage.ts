import { createRoute } from "@hono/zod-openapi";
import { usageReceiptInProtocol1 } from "#core/contracts/agent/protocol-1.ts";
import { UsageBatch, UsageReceipt } from "#core/contracts/agent/usage.ts";
import type { AgentDeps } from "#commands/deps.ts";
import { recordUsage } from "#commands/usage/record-usage.ts";
import { type AgentEnv, type AgentGuard } from "#functions/access.ts";
import { spoken } from "#functions/announced.ts";
import { newRouter } from "#functions/router.ts";

const usageRoute = (guard: AgentGuard) =>
  createRoute({
    ...guard,
    operationId: "recordUsage",
    summary: "Usage samples; each counts once however often it is sent",
    tags: ["Agents"],
    method: "post",
    path: "/agent/v1/usage",
    request: { body: { required: true, content: { "application/json": { schema: UsageBatch } } } },
    responses: {
      200: {
        description: "What became of them",
        content: { "application/json": { schema: UsageReceipt } },
      },
    },
  });

export const agentUsageOperations = (guard: AgentGuard) => [usageRoute(guard)];

/** What a host's VMs have used (design §6). */
export const agentUsageRoutes = (deps: AgentDeps, guard: AgentGuard) =>
  newRouter<AgentEnv>().openapi(usageRoute(guard), async (c) => {
    const receipt = await recordUsage(deps, c.get("hostId"), c.req.valid("json"));
    return c.json(spoken(c, receipt, usageReceiptInProtocol1), 200);
  });
