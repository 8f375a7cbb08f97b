import { createRoute, z } from "@hono/zod-openapi";
import {
  BegunMoveView,
  MigrateVm,
  MovePage,
  MovePlanView,
  MoveQuery,
  MoveView,
  StoppedMoveView,
  StopMove,
} from "#core/contracts/api/moves.ts";
import { idIn } from "#core/ids.ts";
import { ok } from "#core/result.ts";
import type { Deps } from "#commands/deps.ts";
import { answerOnce } from "#commands/messages/answer-once.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { beginMove, showMove } from "#commands/moves/begin-move.ts";
import { showMoves, showOneMove } from "#commands/moves/show-moves.ts";
import { stopMove } from "#commands/moves/stop-move.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { toForcedView } from "#functions/desk-views.ts";
import { OptionalIdempotencyKey, requestKey } from "#functions/idempotency-key.ts";
import { toMovePlanView, toMoveView } from "#functions/move-views.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { toActionView } from "#functions/views.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const ofOne = z.object({ id: idIn("move") });

const migrateRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "repairs:write"),
    operationId: "migrateVm",
    summary: "Move a VM to another host, or look whether and how it could be",
    description:
      "A dry run says all that the move stands on, also when that is against it: `hash` is null then. The real call carries the hash of one, and " +
      "names the same host. Until the move has ended nothing else is done with the VM; up to its step `release` it can be stopped.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/vms/{id}/migrate",
    request: {
      headers: OptionalIdempotencyKey,
      params: z.object({ id: idIn("vm") }),
      body: { required: true, content: json(MigrateVm) },
    },
    responses: {
      200: { description: "What it would do", content: json(MovePlanView) },
      202: { description: "Begun", content: json(BegunMoveView) },
      ...problems("vm_not_found", "host_not_found", "move_refused", "plan_changed", "no_capacity"),
    },
  });

const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:read"),
    operationId: "listMoves",
    summary: "Moves of VMs from host to host, the newest first",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/moves",
    request: { query: MoveQuery },
    responses: {
      200: { description: "A page of moves", content: json(MovePage) },
      ...problems("cursor_invalid"),
    },
  });

const showRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:read"),
    operationId: "showMove",
    summary: "A move: how far it is, and which host's word it waits for",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/moves/{id}",
    request: { params: ofOne },
    responses: {
      200: { description: "The move; also one that has ended", content: json(MoveView) },
      ...problems("move_not_found"),
    },
  });

const stopRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "repairs:write"),
    operationId: "stopMove",
    summary: "Stop a move: its VM stays at its source",
    description:
      "Refused with `move_not_stoppable` once its source has released the VM: then it can only go on.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/moves/{id}/stop",
    request: { params: ofOne, body: { required: true, content: json(StopMove) } },
    responses: {
      200: { description: "What it would do, or has done", content: json(StoppedMoveView) },
      ...problems("move_not_found", "move_not_stoppable", "plan_changed"),
    },
  });

/** How staff bring a VM from one host to another. */
export const staffMoveRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(migrateRoute(deps), async (c) => {
      const who = c.get("who");
      const body = c.req.valid("json");
      const { dryRun, hostId, method, ...more } = body;
      const asked = { vmId: c.req.valid("param").id, hostId, method };
      if (dryRun) return c.json(toMovePlanView(unwrap(await showMove(deps, asked))), 200);
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const begun = await answerOnce(deps, key, BegunMoveView, async (within) => {
        const made = await beginMove(within, { ...asked, ...more, who });
        if (!made.ok) return made;
        const { action, move } = made.value;
        const shown = unwrap(await showOneMove(within, move.id));
        return ok({ action: toActionView(action, who, null, { move }), move: toMoveView(shown) });
      });
      await ringNow(deps);
      return c.json(unwrap(begun), 202);
    })
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor = null, vmId = null, hostId = null, state } = c.req.valid("query");
      const filter = { vmId, hostId, state: state === "any" ? null : state };
      const page = unwrap(await showMoves(deps, filter, { limit, cursor }));
      return c.json({ items: page.items.map(toMoveView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(showRoute(deps), async (c) =>
      c.json(toMoveView(unwrap(await showOneMove(deps, c.req.valid("param").id))), 200),
    )
    .openapi(stopRoute(deps), async (c) => {
      const asked = { ...c.req.valid("json"), moveId: c.req.valid("param").id };
      const stopped = unwrap(await stopMove(deps, { ...asked, who: c.get("who") }));
      if (stopped.done !== null) await ringNow(deps);
      const move = stopped.done && toMoveView(unwrap(await showOneMove(deps, stopped.done.id)));
      return c.json({ ...toForcedView(stopped, asked), move }, 200);
    });
