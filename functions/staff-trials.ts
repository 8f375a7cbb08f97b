import { createRoute } from "@hono/zod-openapi";
import { OfferTrials } from "#core/contracts/api/catalogue.ts";
import { ForcedView } from "#core/contracts/api/forced.ts";
import { offerTrials } from "#commands/catalogue/offer-trials.ts";
import type { Deps } from "#commands/deps.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { toForcedView } from "#functions/desk-views.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";

const offerRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:write"),
    operationId: "offerTrials",
    summary: "Say on which terms VMs may be tried",
    description:
      "From now on; what was ordered before goes on by its own terms. The plans show it (`trial` of `GET /v1/plans`).",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/trials/terms",
    request: {
      body: { required: true, content: { "application/json": { schema: OfferTrials } } },
    },
    responses: {
      200: {
        description: "What it comes to",
        content: { "application/json": { schema: ForcedView } },
      },
      ...problems("plan_changed", "plan_not_found"),
    },
  });

/** How VMs are tried. */
export const staffTrialRoutes = (deps: Deps) =>
  newRouter<AccountEnv>().openapi(offerRoute(deps), async (c) => {
    const asked = c.req.valid("json");
    const done = unwrap(await offerTrials(deps, { ...asked, who: c.get("who") }));
    return c.json(toForcedView(done, asked), 200);
  });
