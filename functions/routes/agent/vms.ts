import { createRoute, z } from "@hono/zod-openapi";
import {
  initialPasswordInProtocol1,
  reportReceiptInProtocol1,
} from "#core/contracts/agent/protocol-1.ts";
import { DesiredDocument, InitialPasswordAnswer } from "#core/contracts/agent/desired.ts";
import { ReceivedReport, ReportReceipt } from "#core/contracts/agent/report.ts";
import type { AgentDeps } from "#commands/deps.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { handInitialPassword } from "#commands/vms/hand-initial-password.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { type AgentEnv, type AgentGuard, type AgentGuards } from "#functions/access.ts";
import { announcedBy, spoken } from "#functions/announced.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const desiredRoute = (guard: AgentGuard) =>
  createRoute({
    ...guard,
    operationId: "readDesired",
    summary: "Everything this host should have",
    description:
      "`atLeast` is a generation that a doorbell named. 304 when `If-None-Match` fits. An agent announces its protocol " +
      "in the header `berth-protocol`, and the words that it understands in `berth-understands`; without them it gets " +
      "the shapes of protocol 1, here and in every other answer.",
    tags: ["Agents"],
    method: "get",
    path: "/agent/v1/desired",
    request: {
      query: z.object({
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
const reportRoute = (guard: AgentGuard) =>
  createRoute({
    ...guard,
    operationId: "recordReport",
    summary: "What the host has, and what came of actions",
    tags: ["Agents"],
    method: "post",
    path: "/agent/v1/reports",
    request: { body: { required: true, content: json(ReceivedReport) } },
    responses: {
      200: {
        description: "How many VMs' reports counted",
        content: json(ReportReceipt),
      },
      ...problems("report_stale"),
    },
  });
const passwordRoute = (guard: AgentGuard) =>
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

export const agentVmOperations = (guards: AgentGuards) => [
  desiredRoute(guards.many),
  reportRoute(guards.many),
  passwordRoute(guards.once),
];

/**
 * What a host's VMs should be, and what they are seen to be (design §6). The desired document takes its shape in its
 * reader, as its hash is made of it.
 */
export const agentVmRoutes = (deps: AgentDeps, guards: AgentGuards) => {
  const readDesired = createDesiredReader(deps);
  return newRouter<AgentEnv>()
    .openapi(desiredRoute(guards.many), async (c) => {
      const desired = await readDesired(c.get("hostId"), {
        etag: c.req.header("if-none-match"),
        atLeast: c.req.valid("query").atLeast,
        announced: announcedBy(c),
      });
      c.header("etag", desired.etag);
      return desired.kind === "unchanged" ? c.body(null, 304) : c.json(desired.document, 200);
    })
    .openapi(reportRoute(guards.many), async (c) => {
      const report = c.req.valid("json");
      const receipt = unwrap(await recordReport(deps, c.get("hostId"), report, announcedBy(c)));
      await ringNow(deps);
      return c.json(spoken(c, receipt, reportReceiptInProtocol1), 200);
    })
    .openapi(passwordRoute(guards.once), async (c) => {
      const handed = unwrap(
        await handInitialPassword(deps, c.get("hostId"), c.req.valid("param").id),
      );
      return c.json(spoken(c, handed, initialPasswordInProtocol1), 200);
    });
};
