import { createRoute, z } from "@hono/zod-openapi";
import { DrainDetails, DrainHost, DrainPlanView, DrainQuery } from "#core/contracts/api/drains.ts";
import { idIn } from "#core/ids.ts";
import type { Deps } from "#commands/deps.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { drainHost } from "#commands/moves/drain-host.ts";
import { showDrain } from "#commands/moves/show-drain.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { toAskedWindow } from "#functions/asked-window.ts";
import { toDrainPlanView, toDrainView, toDrainVmView } from "#functions/drain-views.ts";
import { newRouter } from "#functions/router.ts";
import { problems, unwrap } from "#functions/problems.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const path = "/staff/v1/hosts/{id}/drain" as const;
const params = z.object({ id: idIn("host") });

const drainRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:write"),
    operationId: "drainHost",
    summary: "Empty a host: its VMs move away, so many at once",
    description:
      "A dry run shows for each VM where it would go now, how, and what stands against it. Nothing is held by it: each VM is planned anew at its " +
      "turn, the largest first. What passes is tried again for an hour; a VM that cannot be moved stays, with its reason. It stops between " +
      "VMs as soon as the host is activated, cordoned, or in maintenance. With a `window`, what runs and cannot move while it runs is stopped in " +
      "that time alone, and customers are told of it before; without one they are not.",
    tags: ["Staff"],
    method: "post",
    path,
    request: { params, body: { required: true, content: json(DrainHost) } },
    responses: {
      200: { description: "What it comes to, or came to", content: json(DrainPlanView) },
      ...problems(
        "host_not_found",
        "host_wrong_state",
        "plan_changed",
        "maintenance_invalid",
        "notice_too_short",
      ),
    },
  });

const showRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:read"),
    operationId: "showDrain",
    summary: "How far a host is emptied, or what came of it last",
    tags: ["Staff"],
    method: "get",
    path,
    request: { params, query: DrainQuery },
    responses: {
      200: { description: "The newest one, and a page of its VMs", content: json(DrainDetails) },
      ...problems("host_not_found", "drain_not_found"),
    },
  });

/** A host is emptied by moves of its VMs. */
export const staffDrainRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(drainRoute(deps), async (c) => {
      const { window, ...body } = c.req.valid("json");
      const asked = {
        ...body,
        window: window && toAskedWindow(window),
        who: c.get("who"),
        hostId: c.req.valid("param").id,
      };
      const plan = unwrap(await drainHost(deps, asked));
      if (plan.done) await ringNow(deps);
      return c.json(toDrainPlanView(plan), 200);
    })
    .openapi(showRoute(deps), async (c) => {
      const { limit, cursor = null, state = null } = c.req.valid("query");
      const shown = await showDrain(deps, c.req.valid("param").id, state, { limit, cursor });
      const { drain, page } = unwrap(shown);
      const items = page.items.map(toDrainVmView);
      return c.json({ drain: toDrainView(drain), items, nextCursor: page.nextCursor }, 200);
    });
