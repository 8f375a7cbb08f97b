import { createRoute, z } from "@hono/zod-openapi";
import type { ProblemCode } from "#core/contracts/problem.ts";
import { ForcedView } from "#core/contracts/api/forced.ts";
import { MoveHost, PlanMaintenance } from "#core/contracts/api/hosts.ts";
import { idIn } from "#core/ids.ts";
import type { Deps } from "#commands/deps.ts";
import { activateHost, cordonHost, retireHost } from "#commands/hosts/move-host.ts";
import { cancelMaintenance, planMaintenance } from "#commands/hosts/plan-maintenance.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { toAskedWindow } from "#functions/asked-window.ts";
import { toForcedView } from "#functions/desk-views.ts";
import { newRouter } from "#functions/router.ts";
import { problems, unwrap } from "#functions/problems.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const moveRoute = <I extends string, P extends string, B extends z.ZodType>(
  deps: Deps,
  of: {
    operationId: I;
    path: P;
    summary: string;
    description?: string;
    body: B;
    codes: readonly ProblemCode[];
  },
) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:write"),
    operationId: of.operationId,
    summary: of.summary,
    ...(of.description === undefined ? {} : { description: of.description }),
    tags: ["Staff"],
    method: "post",
    path: of.path,
    request: {
      params: z.object({ id: idIn("host") }),
      body: { required: true, content: json(of.body) },
    },
    responses: {
      200: { description: "What it comes to, or came to", content: json(ForcedView) },
      ...problems("host_not_found", "plan_changed", ...of.codes),
    },
  });

const cordonRoute = (deps: Deps) =>
  moveRoute(deps, {
    operationId: "cordonHost",
    path: "/staff/v1/hosts/{id}/cordon",
    summary: "Let nothing new come to a host",
    description:
      "What is on it stays as it is, and does not grow. Ends a maintenance that goes on.",
    body: MoveHost,
    codes: ["host_wrong_state"],
  });
const activateRoute = (deps: Deps) =>
  moveRoute(deps, {
    operationId: "activateHost",
    path: "/staff/v1/hosts/{id}/activate",
    summary: "Let a host get VMs again",
    description: "Ends a maintenance that goes on. One that is planned stays planned.",
    body: MoveHost,
    codes: ["host_wrong_state"],
  });
const retireRoute = (deps: Deps) =>
  moveRoute(deps, {
    operationId: "retireHost",
    path: "/staff/v1/hosts/{id}/retire",
    summary: "Give up a host for good",
    description:
      "Refused while it gets VMs, and while it holds anything: VMs, held rooms, open orders, running actions, leased addresses, VMs that " +
      "should not be there.",
    body: MoveHost,
    codes: ["host_wrong_state", "host_not_empty"],
  });
const maintenanceRoute = (deps: Deps) =>
  moveRoute(deps, {
    operationId: "planMaintenance",
    path: "/staff/v1/hosts/{id}/maintenance",
    summary: "Plan a maintenance of a host, its reboot among it, or give a planned one other times",
    description:
      "No VM is moved or shut down by it. Customers with a VM on the host are mailed its times so many hours before, and again when they " +
      "change. It begins by itself, and goes on until the host is activated or cordoned; of one that goes on, the end alone changes.",
    body: PlanMaintenance,
    codes: ["host_wrong_state", "maintenance_invalid", "notice_too_short"],
  });
const cancelRoute = (deps: Deps) =>
  moveRoute(deps, {
    operationId: "cancelMaintenance",
    path: "/staff/v1/hosts/{id}/maintenance/cancel",
    summary: "Cancel a host's maintenance that has not begun",
    description: "Customers who were told of it are told so.",
    body: MoveHost,
    codes: ["no_maintenance"],
  });

/** What brings a host from one state into another, now or at a time that is announced. */
export const staffHostMoveRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(cordonRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), who: c.get("who"), hostId: c.req.valid("param").id };
      return c.json(toForcedView(unwrap(await cordonHost(deps, asked)), asked), 200);
    })
    .openapi(activateRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), who: c.get("who"), hostId: c.req.valid("param").id };
      return c.json(toForcedView(unwrap(await activateHost(deps, asked)), asked), 200);
    })
    .openapi(retireRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), who: c.get("who"), hostId: c.req.valid("param").id };
      return c.json(toForcedView(unwrap(await retireHost(deps, asked)), asked), 200);
    })
    .openapi(maintenanceRoute(deps), async (c) => {
      const { startsAt, endsAt, noticeHours, ...rest } = c.req.valid("json");
      const asked = { ...rest, who: c.get("who"), hostId: c.req.valid("param").id };
      const window = toAskedWindow({ startsAt, endsAt, noticeHours });
      const planned = unwrap(await planMaintenance(deps, { ...asked, window }));
      await ringNow(deps);
      return c.json(toForcedView(planned, asked), 200);
    })
    .openapi(cancelRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), who: c.get("who"), hostId: c.req.valid("param").id };
      const cancelled = unwrap(await cancelMaintenance(deps, asked));
      await ringNow(deps);
      return c.json(toForcedView(cancelled, asked), 200);
    });
