import { createRoute, z } from "@hono/zod-openapi";
import { ForcedView } from "#core/contracts/api/forced.ts";
import { PageQuery } from "#core/contracts/api/page.ts";
import {
  AskToDestroy,
  ConfirmDestroy,
  DestroyRequestPage,
  DestroyRequestView,
} from "#core/contracts/api/staff-acts.ts";
import { RequestedAction } from "#core/contracts/api/vms.ts";
import { idIn, toWireId } from "#core/ids.ts";
import type { Deps } from "#commands/deps.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import {
  askToDestroy,
  confirmDestroy,
  showDestroyRequests,
  withdrawDestroy,
  type DestroyRequest,
} from "#commands/vms/destroy-by-two.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { toForcedView } from "#functions/desk-views.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { toActionView } from "#functions/views.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const requestParam = z.object({ id: idIn("destroy_request") });

const askRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:write"),
    operationId: "askToDestroyVm",
    summary: "Ask for a customer's VM to be destroyed",
    description: "Nothing is done until another member of staff confirms it, within a day.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/vms/{id}/destroy-requests",
    request: {
      params: z.object({ id: idIn("vm") }),
      body: { required: true, content: json(AskToDestroy) },
    },
    responses: {
      200: { description: "What it would come to", content: json(ForcedView) },
      201: { description: "Asked", content: json(DestroyRequestView) },
      ...problems(
        "vm_not_found",
        "vm_protected",
        "vm_not_lost",
        "repair_unavailable",
        "destroy_request_open",
        "plan_changed",
      ),
    },
  });

const confirmRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:write"),
    operationId: "confirmDestroyRequest",
    summary: "Destroy what another member of staff asked to have destroyed",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/destroy-requests/{id}/confirm",
    request: { params: requestParam, body: { required: true, content: json(ConfirmDestroy) } },
    responses: {
      200: { description: "What it would come to", content: json(ForcedView) },
      202: { description: "Begun", content: json(RequestedAction) },
      ...problems(
        "destroy_request_not_found",
        "destroy_request_ended",
        "same_person",
        "vm_not_found",
        "vm_protected",
        "vm_locked",
        "vm_not_lost",
        "repair_unavailable",
        "plan_changed",
      ),
    },
  });

const withdrawRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:write"),
    operationId: "withdrawDestroyRequest",
    summary: "Take back that something is to be destroyed",
    tags: ["Staff"],
    method: "delete",
    path: "/staff/v1/destroy-requests/{id}",
    request: { params: requestParam },
    responses: {
      204: { description: "Taken back" },
      ...problems("destroy_request_not_found", "destroy_request_ended"),
    },
  });

const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:read"),
    operationId: "listDestroyRequests",
    summary: "What waits for another member of staff to confirm it, the newest first",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/destroy-requests",
    request: { query: PageQuery },
    responses: { 200: { description: "A page of them", content: json(DestroyRequestPage) } },
  });

/** What two of staff do together. */
export const staffDestroyRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor = null } = c.req.valid("query");
      const page = await showDestroyRequests(deps, { limit, cursor });
      return c.json({ items: page.items.map(toView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(askRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), vmId: c.req.valid("param").id };
      const done = unwrap(await askToDestroy(deps, { ...asked, who: c.get("who") }));
      return done.done === null
        ? c.json(toForcedView(done, asked), 200)
        : c.json(toView(done.done), 201);
    })
    .openapi(confirmRoute(deps), async (c) => {
      const who = c.get("who");
      const asked = { ...c.req.valid("json"), requestId: c.req.valid("param").id };
      const done = unwrap(await confirmDestroy(deps, { ...asked, who }));
      if (done.done === null) return c.json(toForcedView(done, asked), 200);
      await ringNow(deps);
      return c.json({ action: toActionView(done.done, who) }, 202);
    })
    .openapi(withdrawRoute(deps), async (c) => {
      unwrap(
        await withdrawDestroy(deps, { who: c.get("who"), requestId: c.req.valid("param").id }),
      );
      return c.body(null, 204);
    });

const toView = (r: DestroyRequest): z.infer<typeof DestroyRequestView> => ({
  id: toWireId("destroy_request", r.id),
  vmId: toWireId("vm", r.vmId),
  how: r.how,
  reason: r.reason,
  askedBy: toWireId("account", r.askedBy),
  askedAt: r.askedAt.toISOString(),
  expiresAt: r.expiresAt.toISOString(),
});
