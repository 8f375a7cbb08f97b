import { createRoute, z } from "@hono/zod-openapi";
import { AddedPool, AddPool } from "#core/contracts/api/network.ts";
import { idIn } from "#core/ids.ts";
import type { Deps } from "#commands/deps.ts";
import { answerOnce } from "#commands/messages/answer-once.ts";
import { addPool } from "#commands/network/add-pool.ts";
import { actorOf } from "#core/accounts/accounts.ts";
import type { AccountEnv } from "#functions/access.ts";
import { requestKey } from "#functions/idempotency-key.ts";
import { unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { adding } from "#functions/staff-adds.ts";

const poolRoute = (deps: Deps) => {
  const route = adding(
    deps,
    { operationId: "addPool", summary: "Give a location a block of addresses" },
    { body: AddPool, answer: AddedPool },
    "location_not_found",
    "pool_invalid",
    "name_taken",
  );
  return createRoute({
    ...route,
    path: "/staff/v1/locations/{id}/pools",
    request: { ...route.request, params: z.object({ id: idIn("location") }) },
  });
};

/** The addresses that VMs can have. */
export const staffNetworkRoutes = (deps: Deps) =>
  newRouter<AccountEnv>().openapi(poolRoute(deps), async (c) => {
    const body = c.req.valid("json");
    const locationId = c.req.valid("param").id;
    const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
    const pool = await answerOnce(deps, key, AddedPool, (within) =>
      addPool(within, actorOf(c.get("who")), { locationId, ...body }),
    );
    return c.json(unwrap(pool), 201);
  });
