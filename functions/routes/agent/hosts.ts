import { createRoute, type z } from "@hono/zod-openapi";
import { enrollAnswerInProtocol1, sessionInProtocol1 } from "#core/contracts/agent/protocol-1.ts";
import { AgentSession, EnrollAnswer, EnrollRequest } from "#core/contracts/agent/channel.ts";
import { ImageProgress, WantedImages } from "#core/contracts/agent/images.ts";
import type { ChannelDeps } from "#commands/deps.ts";
import { createSlowDown } from "#commands/accounts/slow-down.ts";
import { exchangeImages } from "#commands/hosts/exchange-images.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { openAgentSession } from "#commands/hosts/open-agent-session.ts";
import {
  forJoinToken,
  type AgentEnv,
  type AgentGuard,
  type AgentGuards,
} from "#functions/access.ts";
import { announcedBy, spoken } from "#functions/announced.ts";
import { callerAddressOf } from "#functions/caller-address.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const enrollRoute = createRoute({
  ...forJoinToken,
  operationId: "enrollHost",
  summary: "Bind an agent's key to a host",
  tags: ["Agents"],
  method: "post",
  path: "/agent/v1/enroll",
  request: { body: { required: true, content: json(EnrollRequest) } },
  responses: {
    200: { description: "Enrolled", content: json(EnrollAnswer) },
    ...problems("join_token_invalid", "host_wrong_state"),
  },
});

const sessionRoute = (guard: AgentGuard) =>
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
const imagesRoute = (guard: AgentGuard) =>
  createRoute({
    ...guard,
    operationId: "exchangeImages",
    summary: "How far the host is with its images, and which it should hold",
    tags: ["Agents"],
    method: "post",
    path: "/agent/v1/images",
    request: { body: { required: true, content: json(ImageProgress) } },
    responses: {
      200: { description: "What it should hold", content: json(WantedImages) },
    },
  });
export const agentHostOperations = (guards: AgentGuards) => [
  enrollRoute,
  sessionRoute(guards.once),
  imagesRoute(guards.many),
];

/** How a host becomes known, and where its doorbell rings (design §6). */
export const agentHostRoutes = (deps: ChannelDeps, guards: AgentGuards) => {
  const slowDown = createSlowDown(deps);
  return newRouter<AgentEnv>()
    .openapi(enrollRoute, async (c) => {
      const callerAddress = callerAddressOf(c.req.raw.headers);
      unwrap(slowDown.lookOfCaller("wrong_join_token", callerAddress));
      const answer = await enrollHost(deps, c.req.valid("json"), announcedBy(c));
      if (!answer.ok && answer.error.code === "join_token_invalid")
        unwrap(await slowDown.takeOfCaller("wrong_join_token", callerAddress));
      const enrolled = unwrap(answer);
      return c.json(spoken(c, enrolled, enrollAnswerInProtocol1), 200);
    })
    .openapi(imagesRoute(guards.many), async (c) =>
      // Agents of protocol 1 do not ask.
      c.json(await exchangeImages(deps, c.get("hostId"), c.req.valid("json")), 200),
    )
    .openapi(sessionRoute(guards.once), async (c) => {
      const session = await openAgentSession(deps, c.get("hostId"));
      return c.json(spoken(c, session, sessionInProtocol1), 200);
    });
};
