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
import { addImage, addLocation, addPlan, addPool } from "#commands/add-catalogue.ts";
import type { Deps } from "#commands/deps.ts";
import { asStaff, forAccounts, type AccountEnv } from "../access.ts";
import { problems, unwrap } from "../problems.ts";
import { newRouter } from "../router.ts";

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
  request: { body: { required: true, content: { "application/json": { schema: shapes.body } } } },
  responses: {
    201: { description: "Added", content: { "application/json": { schema: shapes.answer } } },
    ...problems("invalid_request", ...codes),
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
      const { id } = unwrap(await addPlan(deps, asStaff(c.get("who")), c.req.valid("json")));
      return c.json({ id: toWireId("plan", id) }, 201);
    })
    .openapi(imageRoute(deps), async (c) => {
      const { id } = unwrap(await addImage(deps, asStaff(c.get("who")), c.req.valid("json")));
      return c.json({ id: toWireId("image", id) }, 201);
    })
    .openapi(locationRoute(deps), async (c) => {
      const { id } = unwrap(await addLocation(deps, asStaff(c.get("who")), c.req.valid("json")));
      return c.json({ id: toWireId("location", id) }, 201);
    })
    .openapi(poolRoute(deps), async (c) => {
      const pool = await addPool(deps, asStaff(c.get("who")), {
        locationId: c.req.valid("param").id,
        ...c.req.valid("json"),
      });
      return c.json(unwrap(pool), 201);
    });
