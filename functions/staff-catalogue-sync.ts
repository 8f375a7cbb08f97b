import { createRoute } from "@hono/zod-openapi";
import { CatalogueSyncView, SyncCatalogue } from "#core/contracts/api/catalogue-sync.ts";
import { syncCatalogue } from "#commands/catalogue/sync-catalogue.ts";
import type { Deps } from "#commands/deps.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { toForcedView } from "#functions/desk-views.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";

const syncRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:write"),
    operationId: "syncCatalogue",
    summary: "Make what is sold, and Stripe's products and prices, what a file says",
    description:
      "A plan that differs is sold as another version from now on; who has it keeps it. At Stripe prices are made before anybody orders by " +
      "them, names are put right, and prices that nobody buys or has any more are made inactive; what other systems have there is left. " +
      "Cut short, it is finished by the next one.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/catalogue/sync",
    request: {
      body: { required: true, content: { "application/json": { schema: SyncCatalogue } } },
    },
    responses: {
      200: {
        description: "What it comes to",
        content: { "application/json": { schema: CatalogueSyncView } },
      },
      ...problems("plan_changed", "plan_beyond_limits", "price_off_step"),
    },
  });

/** What staff sell, as a file. */
export const staffCatalogueSyncRoutes = (deps: Deps) =>
  newRouter<AccountEnv>().openapi(syncRoute(deps), async (c) => {
    const asked = c.req.valid("json");
    const synced = unwrap(await syncCatalogue(deps, { ...asked, who: c.get("who") }));
    const changes = synced.changes.map(({ kind, plan, words }) => ({ kind, plan, words }));
    return c.json({ ...toForcedView(synced, asked), changes, left: [...synced.left] }, 200);
  });
