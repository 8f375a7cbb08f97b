import { z } from "@hono/zod-openapi";
import { use } from "#core/contracts/named.ts";
import { AddPlan } from "./catalogue.ts";
import { FORCED, ForcedView } from "./forced.ts";

/** Stripe's own bounds (docs.stripe.com/api/metadata), less what we keep there ourselves. */
const Metadata = z
  .record(z.string().regex(/^[A-Za-z0-9_.-]{1,40}$/), z.string().min(1).max(500))
  .refine((of) => Object.keys(of).length <= 40, "at most 40 keys")
  .refine((of) => !("plan_id" in of), "plan_id is ours")
  .default({})
  .openapi("CatalogueMetadata", {
    type: "object",
    additionalProperties: { type: "string", minLength: 1, maxLength: 500 },
    description:
      "Of its products at Stripe, beside `plan_id`, which is ours. A key that the file does not name any more stays there.",
  });

const MOST_PLANS = 200;
const isOnce = (names: readonly string[]): boolean => new Set(names).size === names.length;

/** What a catalogue file holds: all that is sold, by its names. */
export const CatalogueFile = z
  .strictObject({
    plans: z
      .array(z.strictObject({ ...AddPlan.shape, metadata: Metadata }).openapi("CataloguePlan"))
      .max(MOST_PLANS)
      .refine((plans) => isOnce(plans.map(({ name }) => name)), "each plan once, by its name"),
  })
  .openapi("CatalogueFile");
export type CatalogueFile = z.infer<typeof CatalogueFile>;

export const SyncCatalogue = z
  .strictObject({
    catalogue: use(CatalogueFile),
    retire: z.boolean().default(false).openapi({
      description: "What is on sale and not in the file is sold no more; else it is left.",
    }),
    ...FORCED,
  })
  .openapi("SyncCatalogue");

const CATALOGUE_CHANGES = [
  "add_plan",
  "add_version",
  "sell_plan",
  "retire_plan",
  "make_price",
  "open_price",
  "close_price",
  "change_product",
] as const;

export const CatalogueSyncView = z
  .object({
    ...ForcedView.shape,
    changes: z
      .array(
        z
          .object({
            kind: z.enum(CATALOGUE_CHANGES).openapi("CatalogueChangeKind", {
              description: "The first four are here, the others at Stripe.",
            }),
            plan: z.string().openapi({ description: "Its name." }),
            words: z.string(),
          })
          .openapi("CatalogueChange"),
      )
      .openapi({ description: "None: there is nothing to change." }),
    left: z.array(z.string()).openapi({ description: "What is another and stays so, for people." }),
  })
  .openapi("CatalogueSync");
