import { createRoute, z } from "@hono/zod-openapi";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import {
  CalledOffView,
  CallOffAction,
  StaffActionPage,
  StaffActionQuery,
  StaffVmPage,
  StaffVmQuery,
  StaffVmView,
} from "#core/contracts/api/staff-vms.ts";
import {
  HostRepairView,
  RepairHost,
  RepairPlanView,
  RepairVm,
  RequestedAction,
} from "#core/contracts/api/vms.ts";
import { idIn, toWireId } from "#core/ids.ts";
import { ok } from "#core/result.ts";
import type { Deps } from "#commands/deps.ts";
import { answerOnce } from "#commands/messages/answer-once.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { callOffAction } from "#commands/vms/call-off-action.ts";
import { listStaffActions, listStaffVms } from "#commands/vms/list-for-staff.ts";
import { repairHost, showHostRepair, type HostRepair } from "#commands/vms/repair-host.ts";
import { repairVm, showRepair } from "#commands/vms/repair-vm.ts";
import { showStaffVm } from "#commands/vms/show-staff-vm.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { toForcedView } from "#functions/desk-views.ts";
import { OptionalIdempotencyKey, requestKey } from "#functions/idempotency-key.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { toListedVm, toStaffVmView } from "#functions/staff-vm-view.ts";
import { toActionView } from "#functions/views.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const repairRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "repairs:write"),
    operationId: "repairVm",
    summary: "Bring back, or give up, a VM that its host has lost",
    description:
      "Of a VM whose status is `lost`. A dry run says what would be done, and names it by a hash that the real call " +
      "carries. The action ends when the VM is seen whole again, or with the host's refusal.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/vms/{id}/repair",
    request: {
      headers: OptionalIdempotencyKey,
      params: z.object({ id: idIn("vm") }),
      body: { required: true, content: json(RepairVm) },
    },
    responses: {
      200: { description: "What it would do", content: json(RepairPlanView) },
      202: { description: "Begun", content: json(RequestedAction) },
      ...problems(
        "vm_not_found",
        "vm_not_lost",
        "vm_locked",
        "vm_protected",
        "second_person_required",
        "repair_unavailable",
        "plan_changed",
      ),
    },
  });

const repairHostRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:write"),
    operationId: "repairHost",
    summary: "Bring back all VMs that a host has lost",
    description:
      "As after a host was rebuilt with its disks kept. Each VM is repaired by itself: one that cannot be says why, and keeps " +
      "no other from it. Repeated, it goes on with those that are left.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/hosts/{id}/repair",
    request: {
      params: z.object({ id: idIn("host") }),
      body: { required: true, content: json(RepairHost) },
    },
    responses: {
      200: { description: "What it would do", content: json(HostRepairView) },
      202: { description: "Begun", content: json(HostRepairView) },
      ...problems("host_not_found", "plan_changed"),
    },
  });

const showRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:read"),
    operationId: "showStaffVm",
    summary: "A VM: its host, its last error, and what its actions wait for",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/vms/{id}",
    request: { params: z.object({ id: idIn("vm") }) },
    responses: {
      200: { description: "The VM; also one that is gone", content: json(StaffVmView) },
      ...problems("vm_not_found"),
    },
  });

const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:read"),
    operationId: "listStaffVms",
    summary: "Everybody's VMs",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/vms",
    request: { query: StaffVmQuery },
    responses: {
      200: { description: "A page of VMs", content: json(StaffVmPage) },
      ...problems("cursor_invalid"),
    },
  });

const actionsRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:read"),
    operationId: "listActions",
    summary: "What was and is done with everybody's VMs",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/actions",
    request: { query: StaffActionQuery },
    responses: {
      200: { description: "A page of actions", content: json(StaffActionPage) },
      ...problems("cursor_invalid"),
    },
  });

const cancelRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "repairs:write"),
    operationId: "cancelAction",
    summary: "Call off an action that runs",
    description:
      "What it asked for is asked for no longer. One that its host was told of is refused with `action_may_be_under_way`, unless " +
      "`abandon` is given: it then ends as `abandoned`, as it may have been carried out. A creation or a delete is not called off.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/vms/{id}/actions/{actionId}/cancel",
    request: {
      params: z.object({ id: idIn("vm"), actionId: idIn("action") }),
      body: { required: true, content: json(CallOffAction) },
    },
    responses: {
      200: { description: "What it would do, or has done", content: json(CalledOffView) },
      ...problems(
        "vm_not_found",
        "action_not_found",
        "action_ended",
        "action_not_cancellable",
        "action_may_be_under_way",
        "plan_changed",
      ),
    },
  });

/** What staff see of one VM, and do to it. */
export const staffVmRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor = null, sort, presence, ...asked } = c.req.valid("query");
      const { accountId = null, hostId = null, locationId = null, planId = null } = asked;
      const filter = { accountId, hostId, locationId, planId, presence };
      const page = unwrap(await listStaffVms(deps, filter, sort, { limit, cursor }));
      const now = deps.clock.now();
      const items = page.items.map((view) => toListedVm(view, now, c.get("who")));
      return c.json({ items, nextCursor: page.nextCursor }, 200);
    })
    .openapi(actionsRoute(deps), async (c) => {
      const { limit, cursor = null, sort, ...asked } = c.req.valid("query");
      const { vmId = null, status = null, type = null } = asked;
      const filter = { vmId, status, type };
      const page = unwrap(await listStaffActions(deps, filter, sort, { limit, cursor }));
      const items = page.items.map(({ action, vm, ...by }) =>
        toActionView(action, c.get("who"), vm, by),
      );
      return c.json({ items, nextCursor: page.nextCursor }, 200);
    })
    .openapi(showRoute(deps), async (c) => {
      const vm = unwrap(await showStaffVm(deps, c.req.valid("param").id));
      return c.json(toStaffVmView(vm, deps.clock.now(), c.get("who")), 200);
    })
    .openapi(cancelRoute(deps), async (c) => {
      const who = c.get("who");
      const { id: vmId, actionId } = c.req.valid("param");
      const asked = c.req.valid("json");
      const called = unwrap(await callOffAction(deps, { ...asked, who, vmId, actionId }));
      if (called.done !== null) await ringNow(deps);
      const action = called.done && toActionView(called.done, who);
      return c.json({ ...toForcedView(called, asked), action }, 200);
    })
    .openapi(repairHostRoute(deps), async (c) => {
      const who = c.get("who");
      const { how, dryRun, hash } = c.req.valid("json");
      const asked = { hostId: c.req.valid("param").id, how };
      if (dryRun) {
        const shown = unwrap(await showHostRepair(deps, asked));
        return c.json(toHostRepairView(shown, who), 200);
      }
      const begun = unwrap(await repairHost(deps, { ...asked, who, hash }));
      await ringNow(deps);
      return c.json(toHostRepairView(begun, who), 202);
    })
    .openapi(repairRoute(deps), async (c) => {
      const who = c.get("who");
      const body = c.req.valid("json");
      const asked = { vmId: c.req.valid("param").id, how: body.how };
      if (body.dryRun) {
        const { how, effects, hash } = unwrap(await showRepair(deps, asked));
        return c.json({ how, effects: [...effects], hash }, 200);
      }
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const begun = await answerOnce(deps, key, RequestedAction, async (within) => {
        const action = await repairVm(within, { ...asked, who, hash: body.hash });
        return action.ok ? ok({ action: toActionView(action.value, who) }) : action;
      });
      await ringNow(deps);
      return c.json(unwrap(begun), 202);
    });

const toHostRepairView = (
  { how, hash, vms, more }: HostRepair,
  who: AccountPrincipal,
): HostRepairView => ({
  how,
  hash,
  vms: vms.map(({ vmId, hostname, effects, refusal, action }) => ({
    vmId: toWireId("vm", vmId),
    hostname,
    effects: [...effects],
    refused: refusal && { code: refusal.code, detail: refusal.detail },
    action: action && toActionView(action, who),
  })),
  more,
});
