import { createRoute, z } from "@hono/zod-openapi";
import { OrderPage, OrderQuery } from "#core/contracts/api/orders.ts";
import { AdoptionView, AdoptVm, RecordRestore, RestoreView } from "#core/contracts/api/restores.ts";
import { idIn, toWireId } from "#core/ids.ts";
import type { Deps } from "#commands/deps.ts";
import { recordRestore } from "#commands/hosts/record-restore.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { adoptVm } from "#commands/orders/adopt-vm.ts";
import { listOrders } from "#commands/orders/list-orders.ts";
import { actorOf } from "#core/accounts/accounts.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { toOrderView, toRestoreView } from "#functions/views.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const restoreRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:write"),
    operationId: "recordRestore",
    summary: "Say that the database was restored to an earlier state",
    description:
      "Each host's counters rise above what its agent holds as soon as it asks; nothing is destroyed for a day; join tokens, " +
      "mailed links and sessions end; Stripe's events since are taken in again. A repeat of the same instant changes nothing " +
      "and says how far it is.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/restores",
    request: { body: { required: true, content: json(RecordRestore) } },
    responses: {
      200: { description: "How far it is", content: json(RestoreView) },
      ...problems("restore_point_invalid"),
    },
  });
const adoptRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:write"),
    operationId: "adoptVm",
    summary: "Make a VM known again that a restored database has lost",
    description:
      "Of `unknownVms` of a restore, with the session that it was paid by. A dry run says what would be done, and names it by " +
      "a hash that the real call carries.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/vms/{id}/adopt",
    request: {
      params: z.object({ id: idIn("vm") }),
      body: { required: true, content: json(AdoptVm) },
    },
    responses: {
      200: { description: "What it comes to", content: json(AdoptionView) },
      ...problems("vm_not_found", "adoption_refused", "plan_changed"),
    },
  });

const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "orders:read"),
    operationId: "listOrders",
    summary: "Everybody's orders",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/orders",
    request: { query: OrderQuery },
    responses: {
      200: { description: "A page of orders", content: json(OrderPage) },
      ...problems("cursor_invalid"),
    },
  });

/** What staff see of orders, and do when the database was restored. */
export const staffOrderRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor = null, sort, accountId = null, state = null } = c.req.valid("query");
      const filter = { accountId, state };
      const page = unwrap(await listOrders(deps, filter, sort, { limit, cursor }));
      const items = page.items.map((order) => ({
        ...toOrderView(order),
        accountId: toWireId("account", order.accountId),
      }));
      return c.json({ items, nextCursor: page.nextCursor }, 200);
    })
    .openapi(restoreRoute(deps), async (c) => {
      const { restoredTo, dryRun } = c.req.valid("json");
      const asked = { restoredTo: new Date(restoredTo), dryRun };
      const state = unwrap(await recordRestore(deps, actorOf(c.get("who")), asked));
      return c.json(toRestoreView(asked.restoredTo, state), 200);
    })
    .openapi(adoptRoute(deps), async (c) => {
      const asked = { vmId: c.req.valid("param").id, ...c.req.valid("json") };
      const adopted = unwrap(await adoptVm(deps, actorOf(c.get("who")), asked));
      if (!asked.dryRun) await ringNow(deps);
      return c.json({ ...adopted, effects: [...adopted.effects] }, 200);
    });
