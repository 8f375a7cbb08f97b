import { createRoute, z } from "@hono/zod-openapi";
import {
  AddedImage,
  AddedLocation,
  AddedPlan,
  AddedPlanVersion,
  AddImage,
  AddLocation,
  AddPlan,
  AddPlanVersion,
  HostImagePage,
  ImageSourceView,
  SetImageSource,
} from "#core/contracts/api/catalogue.ts";
import { PageQuery } from "#core/contracts/api/page.ts";
import { idIn, toWireId } from "#core/ids.ts";
import { ok, type Result } from "#core/result.ts";
import { addImage, addLocation, addPlan } from "#commands/catalogue/add-catalogue.ts";
import { addPlanVersion } from "#commands/catalogue/add-plan-version.ts";
import { setImageSource } from "#commands/catalogue/set-image-source.ts";
import { showHostsOfImage } from "#commands/hosts/exchange-images.ts";
import { answerOnce } from "#commands/messages/answer-once.ts";
import type { Deps } from "#commands/deps.ts";
import { actorOf } from "#core/accounts/accounts.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { requestKey } from "#functions/idempotency-key.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { toImageOrigin } from "#functions/host-views.ts";
import { newRouter } from "#functions/router.ts";
import { adding } from "#functions/staff-adds.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const planRoute = (deps: Deps) =>
  createRoute({
    ...adding(
      deps,
      { operationId: "addPlan", summary: "Put a plan on sale" },
      { body: AddPlan, answer: AddedPlan },
      "name_taken",
      "plan_beyond_limits",
      "price_off_step",
      "price_off_step",
    ),
    path: "/staff/v1/plans",
  });
const planVersionRoute = (deps: Deps) => {
  const route = adding(
    deps,
    {
      operationId: "addPlanVersion",
      summary: "Sell a plan as another from now on",
      description:
        "Who bought or ordered it before keeps size, traffic, limits and price. Just what is on sale already makes no new version.",
    },
    { body: AddPlanVersion, answer: AddedPlanVersion },
    "plan_not_found",
    "plan_beyond_limits",
    "price_off_step",
  );
  return createRoute({
    ...route,
    path: "/staff/v1/plans/{id}/versions",
    request: { ...route.request, params: z.object({ id: idIn("plan") }) },
  });
};
const imageRoute = (deps: Deps) =>
  createRoute({
    ...adding(
      deps,
      {
        operationId: "addImage",
        summary: "Offer an image",
        description:
          "Its file must lie in the image folder of every host that is to run it: put there by hand, or fetched from its source.",
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
const imageParam = z.object({ id: idIn("image") });
const sourceRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:write"),
    operationId: "setImageSource",
    summary: "Say where hosts fetch an image from",
    description:
      "Of one hypervisor. The same again is done already; another URL replaces the one before, another checksum is refused.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/images/{id}/sources",
    request: { params: imageParam, body: { required: true, content: json(SetImageSource) } },
    responses: {
      200: { description: "The source as it is now", content: json(ImageSourceView) },
      ...problems(
        "image_not_found",
        "location_not_found",
        "image_not_for_hypervisor",
        "image_other_file",
      ),
    },
  });
const imageHostsRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "staff:read"),
    operationId: "listHostsOfImage",
    summary: "The hosts that should hold an image, and how far each is",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/images/{id}/hosts",
    request: { params: imageParam, query: PageQuery },
    responses: {
      200: { description: "A page of hosts", content: json(HostImagePage) },
      ...problems("image_not_found"),
    },
  });

/** What staff sell, and where. */
export const staffCatalogueRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(planRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const added = await answerOnce(deps, key, AddedPlan, async (within) =>
        wire("plan", await addPlan(within, actorOf(c.get("who")), body)),
      );
      return c.json(unwrap(added), 201);
    })
    .openapi(planVersionRoute(deps), async (c) => {
      const { id } = c.req.valid("param");
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const added = await answerOnce(deps, key, AddedPlanVersion, async (within) => {
        const made = await addPlanVersion(within, actorOf(c.get("who")), id, body);
        return made.ok ? ok({ id: toWireId("plan", id), version: made.value.version }) : made;
      });
      return c.json(unwrap(added), 201);
    })
    .openapi(imageRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const added = await answerOnce(deps, key, AddedImage, async (within) =>
        wire("image", await addImage(within, actorOf(c.get("who")), body)),
      );
      return c.json(unwrap(added), 201);
    })
    .openapi(sourceRoute(deps), async (c) => {
      const source = { ...c.req.valid("json"), imageId: c.req.valid("param").id };
      const set = unwrap(await setImageSource(deps, actorOf(c.get("who")), source));
      const locationIds = set.locationIds?.map((id) => toWireId("location", id)) ?? null;
      return c.json({ ...set, imageId: toWireId("image", set.imageId), locationIds }, 200);
    })
    .openapi(imageHostsRoute(deps), async (c) => {
      const { limit, cursor = null } = c.req.valid("query");
      const { id } = c.req.valid("param");
      const page = unwrap(await showHostsOfImage(deps, id, { limit, cursor }));
      const items = page.items.map((host) => ({
        ...host,
        hostId: toWireId("host", host.hostId),
        sourceHost: toImageOrigin(host.sourceHost),
      }));
      return c.json({ items, nextCursor: page.nextCursor }, 200);
    })
    .openapi(locationRoute(deps), async (c) => {
      const body = c.req.valid("json");
      const key = requestKey(c, c.req.valid("header")["idempotency-key"], body);
      const added = await answerOnce(deps, key, AddedLocation, async (within) =>
        wire("location", await addLocation(within, actorOf(c.get("who")), body)),
      );
      return c.json(unwrap(added), 201);
    });

/** What was made, with its id as the wire has it. */
const wire = <E>(
  kind: "plan" | "image" | "location",
  made: Result<{ id: string }, E>,
): Result<{ id: string }, E> => (made.ok ? ok({ id: toWireId(kind, made.value.id) }) : made);
