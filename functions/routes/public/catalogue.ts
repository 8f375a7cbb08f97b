import { createRoute, type z } from "@hono/zod-openapi";
import {
  ImagePage,
  type ImageView,
  LocationPage,
  PlanPage,
  type PlanView,
} from "#core/contracts/api/catalogue.ts";
import { PageQuery } from "#core/contracts/api/page.ts";
import { toWireId } from "#core/ids.ts";
import { toMoneyView } from "#core/money.ts";
import type { Deps } from "#commands/deps.ts";
import { pageOfAll } from "#commands/page.ts";
import {
  showImages,
  showLocations,
  showPlans,
  type ImageOffer,
  type PlanOffer,
} from "#commands/catalogue/show-catalogue.ts";
import { forAnybody } from "#functions/access.ts";
import { publicFor } from "#functions/public-answer.ts";
import { newRouter } from "#functions/router.ts";

/** How long an answer may be kept: as soon as that, a place that was taken shows. */
const KEPT_SECONDS = 5;

const pages = <T extends z.ZodType>(description: string, page: T) => ({
  200: { description, content: { "application/json": { schema: page } } },
  304: { description: "Unchanged, by `If-None-Match`" },
});

const plansRoute = createRoute({
  ...forAnybody,
  operationId: "listPlans",
  summary: "Plans on sale, with where there is room",
  tags: ["Catalogue"],
  middleware: publicFor(KEPT_SECONDS),
  method: "get",
  path: "/v1/plans",
  request: { query: PageQuery },
  responses: pages("Plans, smallest first", PlanPage),
});
const imagesRoute = createRoute({
  ...forAnybody,
  operationId: "listImages",
  summary: "Images a VM can be made from",
  tags: ["Catalogue"],
  middleware: publicFor(KEPT_SECONDS),
  method: "get",
  path: "/v1/images",
  request: { query: PageQuery },
  responses: pages("Images by name", ImagePage),
});
const locationsRoute = createRoute({
  ...forAnybody,
  operationId: "listLocations",
  summary: "Where VMs can run",
  tags: ["Catalogue"],
  middleware: publicFor(KEPT_SECONDS),
  method: "get",
  path: "/v1/locations",
  request: { query: PageQuery },
  responses: pages("Locations by name", LocationPage),
});

const toPlanView = ({ plan, trial, locations }: PlanOffer): z.infer<typeof PlanView> => ({
  id: toWireId("plan", plan.id),
  name: plan.name,
  version: plan.version,
  ...plan.size,
  trafficGib: plan.trafficGib,
  bandwidthMbit: plan.bandwidthMbit,
  downgrade: plan.downgrade,
  prices: plan.prices.map((p) => ({ interval: p.interval, amount: toMoneyView(p.amount) })),
  trial: trial && { days: trial.days, endsIn: trial.endsIn },
  locations: locations.map((l) => ({
    locationId: toWireId("location", l.locationId),
    available: l.available,
    imageIds: l.imageIds.map((id) => toWireId("image", id)),
  })),
});

const toImageView = ({ image, locationIds }: ImageOffer): z.infer<typeof ImageView> => ({
  id: toWireId("image", image.id),
  name: image.name,
  os: image.os,
  minMemoryMib: image.minMemoryMib,
  minDiskGib: image.minDiskGib,
  locationIds: locationIds.map((id) => toWireId("location", id)),
});

export const catalogueRoutes = (deps: Deps) =>
  newRouter()
    .openapi(plansRoute, async (c) => {
      const { limit, cursor } = c.req.valid("query");
      const offers = await showPlans(deps);
      const page = pageOfAll(offers, { limit, cursor: cursor ?? null }, (o) => o.plan.id);
      return c.json({ items: page.items.map(toPlanView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(imagesRoute, async (c) => {
      const { limit, cursor } = c.req.valid("query");
      const offers = await showImages(deps);
      const page = pageOfAll(offers, { limit, cursor: cursor ?? null }, (o) => o.image.id);
      return c.json({ items: page.items.map(toImageView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(locationsRoute, async (c) => {
      const { limit, cursor } = c.req.valid("query");
      const locations = await showLocations(deps);
      const page = pageOfAll(locations, { limit, cursor: cursor ?? null }, (l) => l.id);
      const items = page.items.map(({ id, name, city, country }) => ({
        id: toWireId("location", id),
        name,
        city,
        country,
      }));
      return c.json({ items, nextCursor: page.nextCursor }, 200);
    });
