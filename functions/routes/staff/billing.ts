import { createRoute, z } from "@hono/zod-openapi";
import { ForcedView } from "#core/contracts/api/forced.ts";
import {
  ExtendEntitlement,
  ForcedByReason,
  KeepFromSuspension,
  SuspendVm,
} from "#core/contracts/api/staff-acts.ts";
import type { ProblemCode } from "#core/contracts/problem.ts";
import { idIn } from "#core/ids.ts";
import { forceEnd } from "#commands/billing/end-with-period.ts";
import { extendEntitlement, keepFromSuspension } from "#commands/billing/grant-time.ts";
import { suspendVm, unsuspendVm } from "#commands/billing/suspend-vm.ts";
import type { Deps } from "#commands/deps.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { toForcedView } from "#functions/desk-views.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { ResizeForStaff, StaffResizePlan } from "#core/contracts/api/resizes.ts";
import { RequestedAction } from "#core/contracts/api/vms.ts";
import { resizeForStaff, showStaffResize } from "#commands/billing/resize-for-staff.ts";
import { OptionalIdempotencyKey, requestKey } from "#functions/idempotency-key.ts";
import { toStaffResizeView } from "#functions/quote-views.ts";
import { toActionView } from "#functions/views.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

/** What all of these share: a dry run, and then the call that carries its hash. */
const acts = <B extends z.ZodType, const V extends string>(
  deps: Deps,
  verb: V,
  body: B,
  about: { operationId: string; summary: string; description?: string },
  ...codes: readonly ProblemCode[]
) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "contracts:write"),
    ...about,
    tags: ["Staff"],
    method: "post",
    path: `/staff/v1/vms/{id}/${verb}` as const,
    request: {
      params: z.object({ id: idIn("vm") }),
      body: { required: true, content: json(body) },
    },
    responses: {
      200: { description: "What it comes to", content: json(ForcedView) },
      ...problems("vm_not_found", "plan_changed", ...codes),
    },
  });

const suspendRoute = (deps: Deps) =>
  acts(
    deps,
    "suspend",
    SuspendVm,
    {
      operationId: "suspendVm",
      summary: "Stop a VM, for a reason that no payment ends",
      description:
        "It is off on its host until each of its reasons is lifted. Its customer reads the reason in words; the note is for staff.",
    },
    "vm_locked",
  );
const unsuspendRoute = (deps: Deps) =>
  acts(deps, "unsuspend", SuspendVm, {
    operationId: "unsuspendVm",
    summary: "Lift one reason of a VM's suspension",
    description:
      "With the last one it has the power again that it had: what was off does not boot.",
  });
const extendRoute = (deps: Deps) =>
  acts(
    deps,
    "extend",
    ExtendEntitlement,
    {
      operationId: "extendEntitlement",
      summary: "Grant a VM days that nobody pays for",
      description: "A payment neither takes them away nor counts them anew.",
    },
    "grant_too_long",
  );
const keepRoute = (deps: Deps) =>
  acts(
    deps,
    "never-suspend",
    KeepFromSuspension,
    {
      operationId: "keepFromSuspension",
      summary: "Keep a VM from being stopped for debt, until an instant",
      description: "The mark ends by itself. It keeps from no other suspension.",
    },
    "grant_too_long",
  );
const cancelRoute = (deps: Deps) =>
  acts(
    deps,
    "cancel",
    ForcedByReason,
    {
      operationId: "cancelVmForCustomer",
      summary: "End a customer's VM with the period that is paid",
    },
    "vm_protected",
  );
const uncancelRoute = (deps: Deps) =>
  acts(
    deps,
    "uncancel",
    ForcedByReason,
    {
      operationId: "uncancelVmForCustomer",
      summary: "Have a customer's VM go on that was to end with its period",
    },
    "vm_cancelled",
  );

/** What staff do about what was bought: whether and until when it runs. */
export const staffBillingRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(suspendRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), vmId: c.req.valid("param").id };
      const done = unwrap(await suspendVm(deps, { ...asked, who: c.get("who") }));
      await ringNow(deps);
      return c.json(toForcedView(done, asked), 200);
    })
    .openapi(unsuspendRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), vmId: c.req.valid("param").id };
      const done = unwrap(await unsuspendVm(deps, { ...asked, who: c.get("who") }));
      await ringNow(deps);
      return c.json(toForcedView(done, asked), 200);
    })
    .openapi(extendRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), vmId: c.req.valid("param").id };
      const done = unwrap(await extendEntitlement(deps, { ...asked, who: c.get("who") }));
      await ringNow(deps);
      return c.json(toForcedView(done, asked), 200);
    })
    .openapi(keepRoute(deps), async (c) => {
      const { until, ...body } = c.req.valid("json");
      const asked = { ...body, vmId: c.req.valid("param").id };
      const mark = { until: until === null ? null : new Date(until) };
      const done = unwrap(await keepFromSuspension(deps, { ...asked, ...mark, who: c.get("who") }));
      await ringNow(deps);
      return c.json(toForcedView(done, asked), 200);
    })
    .openapi(cancelRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), vmId: c.req.valid("param").id, ends: true };
      const done = unwrap(await forceEnd(deps, { ...asked, who: c.get("who") }));
      await ringNow(deps);
      return c.json(toForcedView(done, asked), 200);
    })
    .openapi(uncancelRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), vmId: c.req.valid("param").id, ends: false };
      const done = unwrap(await forceEnd(deps, { ...asked, who: c.get("who") }));
      await ringNow(deps);
      return c.json(toForcedView(done, asked), 200);
    });

const resizeRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:write"),
    operationId: "resizeForStaff",
    summary: "Resize a VM, or look what that would do",
    description:
      "As the customer's own, begun by staff: the action goes through the same steps, and what is due is asked of who pays. Also of a VM that another billing system or staff themselves pay for: then nobody is asked for money. The hash names what " +
      "it stands on and how it would go; amounts are prorated to the second, and are not in it.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/vms/{id}/resize",
    request: {
      headers: OptionalIdempotencyKey,
      params: z.object({ id: idIn("vm") }),
      body: { required: true, content: json(ResizeForStaff) },
    },
    responses: {
      200: { description: "What it would do", content: json(StaffResizePlan) },
      202: { description: "Begun", content: json(RequestedAction) },
      ...problems("vm_not_found", "plan_changed", "resize_refused", "payment_provider_unavailable"),
    },
  });

/** What staff change of what was bought. */
export const staffResizeRoutes = (deps: Deps) =>
  newRouter<AccountEnv>().openapi(resizeRoute(deps), async (c) => {
    const { dryRun, reason, hash, ...wanted } = c.req.valid("json");
    const who = c.get("who");
    const asked = { who, vmId: c.req.valid("param").id, ...wanted };
    if (dryRun) return c.json(toStaffResizeView(unwrap(await showStaffResize(deps, asked))), 200);
    const key = requestKey(c, c.req.valid("header")["idempotency-key"], c.req.valid("json"));
    const begun = await resizeForStaff(
      deps,
      { ...asked, hash, reason, key },
      RequestedAction,
      (of) => ({
        action: toActionView(of.action, who, null, of),
      }),
    );
    await ringNow(deps);
    return c.json(unwrap(begun), 202);
  });
