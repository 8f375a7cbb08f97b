import { createRoute, z } from "@hono/zod-openapi";
import {
  ActionView,
  ChangeVm,
  InitialPasswordView,
  VmPage,
  RequestAction,
  RequestedAction,
  Revival,
  VmView,
} from "#core/contracts/api/vms.ts";
import { PageQuery } from "#core/contracts/api/page.ts";
import { idIn } from "#core/ids.ts";
import { ok } from "#core/result.ts";
import { reviveVm } from "#commands/billing/revive-vm.ts";
import { sayEnd } from "#commands/billing/end-with-period.ts";
import { answerOnce } from "#commands/messages/answer-once.ts";
import type { Deps } from "#commands/deps.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { changeVm } from "#commands/vms/change-vm.ts";
import { beginPlanChange, makeWay } from "#commands/billing/begin-plan-change.ts";
import { dropPlanChange } from "#commands/billing/drop-plan-change.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { listVms, showAction, showVm } from "#commands/vms/show-vm.ts";
import { takeInitialPassword } from "#commands/vms/take-initial-password.ts";
import { forAccounts, NOT_AS_SOMEBODY_ELSE, type AccountEnv } from "#functions/access.ts";
import { OptionalIdempotencyKey, requestKey } from "#functions/idempotency-key.ts";
import { newRouter } from "#functions/router.ts";
import { ProblemError, problems, unwrap } from "#functions/problems.ts";
import { toActionView, toVmView } from "#functions/views.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const vmParam = z.object({ id: idIn("vm") });
const OWNERS = ["customer", "staff"] as const;

const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "vms:read"),
    operationId: "listVms",
    summary: "Your VMs, newest first",
    tags: ["VMs"],
    method: "get",
    path: "/v1/vms",
    request: { query: PageQuery },
    responses: {
      200: { description: "A page of VMs", content: json(VmPage) },
    },
  });
const showRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, OWNERS, "vms:read"),
    operationId: "showVm",
    summary: "A VM",
    tags: ["VMs"],
    method: "get",
    path: "/v1/vms/{id}",
    request: { params: vmParam },
    responses: {
      200: { description: "The VM", content: json(VmView) },
      ...problems("vm_not_found"),
    },
  });
const changeRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, OWNERS, "vms:write"),
    operationId: "changeVm",
    summary: "Call a VM something else, or protect it from being deleted",
    tags: ["VMs"],
    method: "patch",
    path: "/v1/vms/{id}",
    request: { params: vmParam, body: { required: true, content: json(ChangeVm) } },
    responses: {
      200: { description: "The VM as it is now", content: json(VmView) },
      ...problems("vm_not_found", "vm_cancelled"),
    },
  });
const deleteRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, OWNERS, "vms:write"),
    operationId: "deleteVm",
    summary: "Delete a VM and end its subscription",
    description:
      "Its disk stays in the host's trash for seven days. Asking again is harmless. Whatever action runs on it ends as " +
      "`superseded`. A VM that was not made yet is paid back in full.",
    tags: ["VMs"],
    method: "delete",
    path: "/v1/vms/{id}",
    request: { params: vmParam },
    responses: {
      202: { description: "Begun", content: json(RequestedAction) },
      ...problems("vm_not_found", "vm_suspended", "vm_protected", "second_person_required"),
    },
  });
const cancelRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, OWNERS, "vms:write"),
    operationId: "cancelVm",
    summary: "End a VM with the period that is paid",
    description:
      "No further period is charged, and the VM is deleted when this one is over; `cancelAt` says when. It can be taken back until then.",
    tags: ["VMs"],
    method: "post",
    path: "/v1/vms/{id}/cancel",
    request: { params: vmParam },
    responses: {
      200: { description: "The VM as it is now", content: json(VmView) },
      ...problems("vm_not_found", "vm_protected"),
    },
  });
const uncancelRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, OWNERS, "vms:write"),
    operationId: "uncancelVm",
    summary: "Have a VM go on that was to end with its period",
    tags: ["VMs"],
    method: "delete",
    path: "/v1/vms/{id}/cancel",
    request: { params: vmParam },
    responses: {
      200: { description: "The VM as it is now", content: json(VmView) },
      ...problems("vm_not_found", "vm_cancelled"),
    },
  });
const reviveRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "vms:write"),
    operationId: "reviveVm",
    summary: "Buy a VM anew whose subscription has ended",
    description:
      "It stays as it is: its plan, its price, what is on it and its addresses. It runs again once the page is paid; nothing of it is deleted while that is open.",
    tags: ["VMs"],
    method: "post",
    path: "/v1/vms/{id}/revive",
    request: { params: vmParam },
    responses: {
      200: { description: "Where it is bought", content: json(Revival) },
      ...problems("vm_not_found", "vm_not_ended", "vm_suspended", "payment_provider_unavailable"),
    },
  });
const actRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, OWNERS, "vms:write"),
    operationId: "requestAction",
    summary: "Start, shut down, stop, reboot, reset or resize a VM",
    description:
      "`shutdown` asks the guest and cuts the power after a grace of 90 s; `stop` cuts it at once; `reboot` asks " +
      "the guest; `reset` presses the reset button. `resize` takes a quote: the action waits for its payment (`payUrl`: where to " +
      "confirm it, within an hour) or for the renewal, is then carried out, and ends once the new size was seen; until its host " +
      "is told other actions may run, and `/resize/cancel` drops it. What fails leaves all as it was, and gives back what was paid. With an Idempotency-Key the request may be sent again when its " +
      "answer got lost: nothing is done twice, and the answer is the first one.",
    tags: ["VMs"],
    method: "post",
    path: "/v1/vms/{id}/actions",
    request: {
      headers: OptionalIdempotencyKey,
      params: vmParam,
      body: { required: true, content: json(RequestAction) },
    },
    responses: {
      202: { description: "Begun", content: json(RequestedAction) },
      ...problems(
        "vm_not_found",
        "vm_locked",
        "vm_lost",
        "vm_not_running",
        "vm_suspended",
        "quote_not_found",
        "quote_expired",
        "quote_outdated",
        "quote_taken",
        "no_capacity",
        "payment_provider_unavailable",
      ),
    },
  });
const dropRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, OWNERS, "vms:write"),
    operationId: "cancelResize",
    summary: "Drop a resize that waits for its payment or for the renewal",
    description:
      "Its invoice is void, and what was paid all the same goes back. Asking again is harmless. One that is paid, or whose host was told, ends by itself.",
    tags: ["VMs"],
    method: "post",
    path: "/v1/vms/{id}/resize/cancel",
    request: { params: vmParam },
    responses: {
      202: { description: "Dropped", content: json(RequestedAction) },
      ...problems("vm_not_found", "change_not_found", "change_under_way"),
    },
  });
const passwordRoute = (deps: Deps) =>
  createRoute({
    // Not for staff: who runs the machines does not sign in to them.
    ...forAccounts(deps, ["customer"], "vms:write"),
    operationId: "takeInitialPassword",
    summary: "The first password of a VM's administrator, once",
    description:
      "Of a Windows VM, and of a Linux VM whose order asked for one. It is erased as it is shown, and after a week in any case: an answer that gets lost is lost for good.",
    tags: ["VMs"],
    method: "post",
    path: "/v1/vms/{id}/initial-password",
    request: { params: vmParam },
    responses: {
      200: { description: "Who to sign in as, and how", content: json(InitialPasswordView) },
      ...problems(
        "vm_not_found",
        "no_initial_password",
        "password_not_ready",
        "password_already_taken",
        "password_expired",
      ),
    },
  });
const actionRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, OWNERS, "vms:read"),
    operationId: "showAction",
    summary: "An action and how far it is",
    tags: ["VMs"],
    method: "get",
    path: "/v1/actions/{id}",
    request: { params: z.object({ id: idIn("action") }) },
    responses: {
      200: { description: "The action", content: json(ActionView) },
      ...problems("action_not_found"),
    },
  });
export const vmRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor } = c.req.valid("query");
      const page = await listVms(deps, c.get("who"), { limit, cursor: cursor ?? null });
      const now = deps.clock.now();
      return c.json(
        {
          items: page.items.map((v) => toVmView(v, now, c.get("who"))),
          nextCursor: page.nextCursor,
        },
        200,
      );
    })
    .openapi(showRoute(deps), async (c) => {
      const vm = await showVm(deps, c.get("who"), c.req.valid("param").id);
      return c.json(toVmView(unwrap(vm), deps.clock.now(), c.get("who")), 200);
    })
    .openapi(changeRoute(deps), async (c) => {
      const vmId = c.req.valid("param").id;
      const wish = { who: c.get("who"), vmId, ...c.req.valid("json") };
      const changed = unwrap(await changeVm(deps, wish));
      return c.json(toVmView(changed, deps.clock.now(), c.get("who")), 200);
    })
    .openapi(deleteRoute(deps), async (c) => {
      const action = await requestAction(deps, {
        who: c.get("who"),
        vmId: c.req.valid("param").id,
        type: "delete",
      });
      await ringNow(deps);
      return c.json({ action: toActionView(unwrap(action), c.get("who")) }, 202);
    })
    .openapi(cancelRoute(deps), async (c) => {
      const wish = { who: c.get("who"), vmId: c.req.valid("param").id, ends: true };
      const said = unwrap(await sayEnd(deps, wish));
      await ringNow(deps);
      return c.json(toVmView(said, deps.clock.now(), c.get("who")), 200);
    })
    .openapi(uncancelRoute(deps), async (c) => {
      const wish = { who: c.get("who"), vmId: c.req.valid("param").id, ends: false };
      const said = unwrap(await sayEnd(deps, wish));
      await ringNow(deps);
      return c.json(toVmView(said, deps.clock.now(), c.get("who")), 200);
    })
    .openapi(reviveRoute(deps), async (c) => {
      const asked = { who: c.get("who"), vmId: c.req.valid("param").id };
      const { checkoutUrl, expiresAt } = unwrap(await reviveVm(deps, asked));
      return c.json({ checkoutUrl, expiresAt: expiresAt.toISOString() }, 200);
    })
    .openapi(actRoute(deps), async (c) => {
      const who = c.get("who");
      const vmId = c.req.valid("param").id;
      const asked = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], asked);
      if (asked.type === "resize") {
        // It buys: whoever acts as somebody else has a resize of staff's own, with its reason.
        if (who.impersonator !== undefined)
          throw new ProblemError("forbidden", NOT_AS_SOMEBODY_ELSE);
        const taken = { who, vmId, quoteId: asked.quoteId };
        const { basisHolds } = await makeWay(deps, taken);
        const begun = await answerOnce(deps, key, RequestedAction, async (within) => {
          const change = await beginPlanChange(within, { ...taken, basisHolds });
          return change.ok
            ? ok({ action: toActionView(change.value.action, who, null, change.value) })
            : change;
        });
        await ringNow(deps);
        return c.json(unwrap(begun), 202);
      }
      const { type } = asked;
      const requested = await answerOnce(deps, key, RequestedAction, async (within) => {
        const action = await requestAction(within, { who, vmId, type });
        return action.ok ? ok({ action: toActionView(action.value, who) }) : action;
      });
      await ringNow(deps);
      return c.json(unwrap(requested), 202);
    })
    .openapi(dropRoute(deps), async (c) => {
      const who = c.get("who");
      const asked = { who, vmId: c.req.valid("param").id, why: "cancelled" as const };
      const { action, change } = unwrap(await dropPlanChange(deps, asked));
      await ringNow(deps);
      return c.json({ action: toActionView(action, who, null, { change }) }, 202);
    })
    .openapi(passwordRoute(deps), async (c) => {
      const taken = await takeInitialPassword(deps, c.get("who"), c.req.valid("param").id);
      return c.json(unwrap(taken), 200);
    })
    .openapi(actionRoute(deps), async (c) => {
      const shown = unwrap(await showAction(deps, c.get("who"), c.req.valid("param").id));
      return c.json(toActionView(shown.action, c.get("who"), shown.seen, shown), 200);
    });
