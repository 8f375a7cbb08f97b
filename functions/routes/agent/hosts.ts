import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import {
  enrollAnswerInProtocol1,
  initialPasswordInProtocol1,
  reportReceiptInProtocol1,
  sessionInProtocol1,
  usageReceiptInProtocol1,
} from "#core/contracts/agent-protocol-1.ts";
import { readAnnouncement, type Announced } from "#core/contracts/agent-protocol.ts";
import {
  AgentSession,
  DesiredDocument,
  EnrollAnswer,
  EnrollRequest,
  InitialPasswordAnswer,
  ReceivedReport,
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
const AGENT_PROBLEMS = problems("invalid_request", "agent_token_invalid", "identity_revoked");

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
    ...problems("invalid_request", "join_token_invalid", "host_wrong_state"),
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
      ...AGENT_PROBLEMS,
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
      query: z.object({ atLeast: z.coerce.number().int().nonnegative().default(0) }),
    },
    responses: {
      200: { description: "The document", content: json(DesiredDocument) },
      304: { description: "Unchanged" },
      ...AGENT_PROBLEMS,
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
    request: { body: body(ReceivedReport) },
    responses: {
      200: {
        description: "How many VMs' reports counted",
        content: json(ReportReceipt),
      },
      ...AGENT_PROBLEMS,
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
      ...AGENT_PROBLEMS,
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
      ...problems(
        "invalid_request",
        "agent_token_invalid",
        "identity_revoked",
        "vm_not_found",
        "no_initial_password",
      ),
    },
  });

const announcedBy = (c: Context): Announced => readAnnouncement((name) => c.req.header(name));

/** The answer in the shape that the agent announced; who announces nothing gets that of protocol 1, field by field. */
const spoken = <T>(c: Context, answer: T, inProtocol1: (answer: T) => T): T =>
  announcedBy(c).protocol === 1 ? inProtocol1(answer) : answer;

/** The agents' channel (design §6). The desired document takes its shape in its reader, as its hash is made of it. */
export const agentRoutes = (deps: Deps) => {
  const guard = forAgents(createAgentAuthenticator(deps));
  const readDesired = createDesiredReader(deps);
  return newRouter<AgentEnv>()
    .openapi(enrollRoute, async (c) => {
      const enrolled = unwrap(await enrollHost(deps, c.req.valid("json")));
      return c.json(spoken(c, enrolled, enrollAnswerInProtocol1), 200);
    })
    .openapi(sessionRoute(guard), async (c) => {
      const session = await openAgentSession(deps, c.get("hostId"));
      return c.json(spoken(c, session, sessionInProtocol1), 200);
    })
    .openapi(desiredRoute(guard), async (c) => {
      const desired = await readDesired(c.get("hostId"), {
        etag: c.req.header("if-none-match"),
        atLeast: c.req.valid("query").atLeast,
        announced: announcedBy(c),
      });
      c.header("etag", desired.etag);
      return desired.kind === "unchanged" ? c.body(null, 304) : c.json(desired.document, 200);
    })
    .openapi(reportRoute(guard), async (c) => {
      const receipt = await recordVmReport(deps, c.get("hostId"), c.req.valid("json"));
      await ringNow(deps);
      return c.json(spoken(c, receipt, reportReceiptInProtocol1), 200);
    })
    .openapi(usageRoute(guard), async (c) => {
      const receipt = await recordUsage(deps, c.get("hostId"), c.req.valid("json"));
      return c.json(spoken(c, receipt, usageReceiptInProtocol1), 200);
    })
    .openapi(passwordRoute(guard), async (c) => {
      const handed = unwrap(
        await handInitialPassword(deps, c.get("hostId"), c.req.valid("param").id),
      );
      c.header("cache-control", "no-store");
      return c.json(spoken(c, handed, initialPasswordInProtocol1), 200);
    });
};
