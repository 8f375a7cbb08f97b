import { createRoute } from "@hono/zod-openapi";
import {
  AddedImage,
  AddedLocation,
  AddedPlan,
  AddImage,
  AddLocation,
  AddPlan,
} from "#core/contracts/api/catalogue.ts";
import { toWireId } from "#core/ids.ts";
import { ok, type Result } from "#core/result.ts";
import { addImage, addLocation, addPlan } from "#commands/catalogue/add-catalogue.ts";
import { answerOnce } from "#commands/messages/answer-once.ts";
import type { Deps } from "#commands/deps.ts";
import { asStaff, type AccountEnv } from "#functions/access.ts";
import { requestKey } from "#functions/idempotency-key.ts";
import { unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";
import { adding } from "#functions/staff-adds.ts";

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
    });

/** What was made, with its id as the wire has it. */
const wire = <E>(
  kind: "plan" | "image" | "location",
  made: Result<{ id: string }, E>,
): Result<{ id: string }, E> => (made.ok ? ok({ id: toWireId(kind, made.value.id) }) : made);
