import { createRoute, z } from "@hono/zod-openapi";
import {
  AgentReport,
  AgentSession,
  DesiredDocument,
  EnrollAnswer,
  EnrollRequest,
  InitialPasswordAnswer,
  ReportReceipt,
  UsageBatch,
  UsageReceipt,
} from "#core/contracts/agent.ts";
import { createAgentAuthenticator } from "#commands/hosts/authenticate-agent.ts";
import type { Deps } from "#commands/deps.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { handInitialPassword } from "#commands/vms/hand-initial-password.ts";
import { openAgentSession } from "#commands/hosts/open-agent-session.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import { recordUsage } from "#commands/usage/record-usage.ts";
import { recordVmReport } from "#commands/vms/record-vm-report.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { forAgents, forJoinToken, type AgentEnv } from "#functions/access.ts";
import { newRouter } from "#functions/router.ts";
import { problems, unwrap } from "#functions/problems.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const body = <T extends z.ZodType>(schema: T) => ({ required: true, content: json(schema) });

const enrollRoute = createRoute({
  ...forJoinToken,
  operationId: "enrollHost",
  summary: "Bind an agent's key to a host",
  tags: ["Agents"],
  method: "post",
  path: "/agent/v1/enroll",
  request: { body: body(EnrollRequest) },
  responses: {
    200: { description: "Enrolled", content: json(EnrollAnswer) },
    ...problems("join_token_invalid", "host_wrong_state"),
  },
});

type Guard = ReturnType<typeof forAgents>;
const sessionRoute = (guard: Guard) =>
  createRoute({
    ...guard,
    operationId: "openAgentSession",
    summary: "The doorbell's credentials, and the intervals to use",
    tags: ["Agents"],
    method: "post",
    path: "/agent/v1/session",
    responses: {
      200: { description: "The session", content: json(AgentSession) },
    },
  });
const desiredRoute = (guard: Guard) =>
  createRoute({
    ...guard,
    operationId: "readDesired",
    summary: "Everything this host should have",
    description: "`atLeast` is a generation that a doorbell named. 304 when `If-None-Match` fits.",
    tags: ["Agents"],
    method: "get",
    path: "/agent/v1/desired",
    request: {
      query: z.strictObject({
        // The type is said: what turns null into 0 would be told as taking null.
        atLeast: z.coerce
          .number()
          .int()
          .nonnegative()
          .default(0)
          .openapi({
            type: "integer",
            minimum: 0,
            param: { description: "The generation that is to be there at least." },
          }),
      }),
    },
    responses: {
      200: { description: "The document", content: json(DesiredDocument) },
      304: { description: "Unchanged" },
    },
  });
const reportRoute = (guard: Guard) =>
  createRoute({
    ...guard,
    operationId: "recordReport",
    summary: "What the host has, and what came of actions",
    tags: ["Agents"],
    method: "post",
    path: "/agent/v1/reports",
    request: { body: body(AgentReport) },
    responses: {
      200: {
        description: "How many VMs' reports counted",
        content: json(ReportReceipt),
      },
    },
  });
const usageRoute = (guard: Guard) =>
  createRoute({
    ...guard,
    operationId: "recordUsage",
    summary: "Usage samples; each counts once however often it is sent",
    tags: ["Agents"],
    method: "post",
    path: "/agent/v1/usage",
    request: { body: body(UsageBatch) },
    responses: {
      200: { description: "What became of them", content: json(UsageReceipt) },
    },
  });

const passwordRoute = (guard: Guard) =>
  createRoute({
    ...guard,
    operationId: "handInitialPassword",
    summary: "The administrator's password for the seed of a VM that is about to be made",
    description: "The same however often it is asked for, until the host has shown the VM whole.",
    tags: ["Agents"],
    method: "post",
    path: "/agent/v1/vms/{id}/initial-password",
    request: { params: z.object({ id: z.uuid() }) },
    responses: {
      200: { description: "The password", content: json(InitialPasswordAnswer) },
      ...problems("vm_not_found", "no_initial_password"),
    },
  });

/** The agents' channel (design §6). */
export const agentRoutes = (deps: Deps) => {
  const guard = forAgents(createAgentAuthenticator(deps));
  const readDesired = createDesiredReader(deps);
  return newRouter<AgentEnv>()
    .openapi(enrollRoute, async (c) =>
      c.json(unwrap(await enrollHost(deps, c.req.valid("json"))), 200),
    )
    .openapi(sessionRoute(guard), async (c) =>
      c.json(await openAgentSession(deps, c.get("hostId")), 200),
    )
    .openapi(desiredRoute(guard), async (c) => {
      const desired = await readDesired(c.get("hostId"), {
        etag: c.req.header("if-none-match"),
        atLeast: c.req.valid("query").atLeast,
      });
      c.header("etag", desired.etag);
      return desired.kind === "unchanged" ? c.body(null, 304) : c.json(desired.document, 200);
    })
    .openapi(reportRoute(guard), async (c) => {
      const receipt = await recordVmReport(deps, c.get("hostId"), c.req.valid("json"));
      await ringNow(deps);
      return c.json(receipt, 200);
    })
    .openapi(usageRoute(guard), async (c) =>
      c.json(await recordUsage(deps, c.get("hostId"), c.req.valid("json")), 200),
    )
    .openapi(passwordRoute(guard), async (c) => {
      const password = unwrap(
        await handInitialPassword(deps, c.get("hostId"), c.req.valid("param").id),
      );
      c.header("cache-control", "no-store");
      return c.json({ password }, 200);
    });
};
