import { createRoute, z } from "@hono/zod-openapi";
import {
  AddedImage,
  AddedLocation,
  AddedPlan,
  AddedPool,
  AddImage,
  AddLocation,
  AddPlan,
  AddPool,
} from "#core/contracts/api.ts";
import type { ProblemCode } from "#core/contracts/problem.ts";
import { idIn, toWireId } from "#core/ids.ts";
import { ok, type Result } from "#core/result.ts";
import { addImage, addLocation, addPlan, addPool } from "#commands/catalogue/add-catalogue.ts";
import { answerOnce } from "#commands/messages/answer-once.ts";
import type { Deps } from "#commands/deps.ts";
import { asStaff, forAccounts, type AccountEnv } from "#functions/access.ts";
import { OptionalIdempotencyKey, requestKey } from "#functions/idempotency-key.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";

/** What the four routes share: staff only, a JSON body, 201 with what was made. */
const adding = <B extends z.ZodType, A extends z.ZodType>(
  deps: Deps,
  about: { operationId: string; summary: string; description?: string },
  shapes: { body: B; answer: A },
  ...codes: readonly ProblemCode[]
) => ({
  ...forAccounts(deps, ["staff"], "staff:write"),
  ...about,
  tags: ["Staff"],
  method: "post" as const,
  request: {
    headers: OptionalIdempotencyKey,
    body: { required: true, content: { "application/json": { schema: shapes.body } } },
  },
  responses: {
    201: { description: "Added", content: { "application/json": { schema: shapes.answer } } },
    ...problems(...codes),
  },
});

const planRoute = (deps: Deps) =>
  createRoute({
    ...adding(
      deps,
      { operationId: "addPlan", summary: "Put a plan on sale" },
      { body: AddPlan, answer: AddedPlan },
      "name_taken",
      "plan_beyond_limits",
    ),
    path: "/staff/v1/plans",
  });
const imageRoute = (deps: Deps) =>
  createRoute({
    ...adding(
      deps,
      {
        operationId: "addImage",
        summary: "Offer an image",
        description: "Its file must lie in the image folder of every host that is to run it.",
      },
      { body: AddImage, answer: AddedImage },
      "name_taken",
    ),
    path: "/staff/v1/images",
  });
const locationRoute = (deps: Deps) =>
  createRoute({
    ...adding(
      deps,
      { operationId: "addLocation", summary: "Open a location" },
      { body: AddLocation, answer: AddedLocation },
      "name_taken",
    ),
    path: "/staff/v1/locations",
  });
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

/** What staff sell, and where. */
export const staffCatalogueRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(planRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const added = await answerOnce(deps, key, AddedPlan, async (within) =>
        wire("plan", await addPlan(within, asStaff(c.get("who")), body)),
      );
      return c.json(unwrap(added), 201);
    })
    .openapi(imageRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const added = await answerOnce(deps, key, AddedImage, async (within) =>
        wire("image", await addImage(within, asStaff(c.get("who")), body)),
      );
      return c.json(unwrap(added), 201);
    })
    .openapi(locationRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const added = await answerOnce(deps, key, AddedLocation, async (within) =>
        wire("location", await addLocation(within, asStaff(c.get("who")), body)),
      );
      return c.json(unwrap(added), 201);
    })
    .openapi(poolRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const locationId = c.req.valid("param").id;
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const pool = await answerOnce(deps, key, AddedPool, (within) =>
        addPool(within, asStaff(c.get("who")), { locationId, ...body }),
      );
      return c.json(unwrap(pool), 201);
    });

/** What was made, with its id as the wire has it. */
const wire = <E>(
  kind: "plan" | "image" | "location",
  made: Result<{ id: string }, E>,
): Result<{ id: string }, E> => (made.ok ? ok({ id: toWireId(kind, made.value.id) }) : made);
