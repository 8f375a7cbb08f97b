import { createRoute, z } from "@hono/zod-openapi";
import { ImageView, LocationView, PlanView } from "#core/contracts/api.ts";
import { toWireId } from "#core/ids.ts";
import { toMoneyView } from "#core/money.ts";
import type { Deps } from "#commands/deps.ts";
import { showImages, showLocations, showPlans } from "#commands/show-catalogue.ts";
import { forAnybody } from "../access.ts";
import { newRouter } from "../router.ts";

const listOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item) });
const json = <T extends z.ZodType>(description: string, schema: T) => ({
  200: { description, content: { "application/json": { schema } } },
});

const plansRoute = createRoute({
  ...forAnybody,
  operationId: "listPlans",
  summary: "Plans on sale, with where there is room",
  tags: ["Catalogue"],
  method: "get",
  path: "/v1/plans",
  responses: json("Plans, smallest first", listOf(PlanView)),
});
const imagesRoute = createRoute({
  ...forAnybody,
  operationId: "listImages",
  summary: "Images a VM can be made from",
  tags: ["Catalogue"],
  method: "get",
  path: "/v1/images",
  responses: json("Images by name", listOf(ImageView)),
});
const locationsRoute = createRoute({
  ...forAnybody,
  operationId: "listLocations",
  summary: "Where VMs can run",
  tags: ["Catalogue"],
  method: "get",
  path: "/v1/locations",
  responses: json("Locations by name", listOf(LocationView)),
});

export const catalogueRoutes = (deps: Deps) =>
  newRouter()
    .openapi(plansRoute, async (c) => {
      const offers = await showPlans(deps);
      return c.json(
        {
          items: offers.map(({ plan, locations }) => ({
            id: toWireId("plan", plan.id),
            name: plan.name,
            ...plan.size,
            trafficGib: plan.trafficGib,
            bandwidthMbit: plan.bandwidthMbit,
            prices: plan.prices.map((p) => ({
              interval: p.interval,
              amount: toMoneyView(p.amount),
            })),
            locations: locations.map((l) => ({
              locationId: toWireId("location", l.locationId),
              available: l.available,
              imageIds: l.imageIds.map((id) => toWireId("image", id)),
            })),
          })),
        },
        200,
      );
    })
    .openapi(imagesRoute, async (c) => {
      const images = await showImages(deps);
      return c.json(
        {
          items: images.map(({ image, locationIds }) => ({
            id: toWireId("image", image.id),
            name: image.name,
            os: image.os,
            minMemoryMib: image.minMemoryMib,
            minDiskGib: image.minDiskGib,
            locationIds: locationIds.map((id) => toWireId("location", id)),
          })),
        },
        200,
      );
    })
    .openapi(locationsRoute, async (c) => {
      const locations = await showLocations(deps);
      return c.json(
        {
          items: locations.map((l) => ({
            id: toWireId("location", l.id),
            name: l.name,
            city: l.city,
            country: l.country,
          })),
        },
        200,
      );
    });
