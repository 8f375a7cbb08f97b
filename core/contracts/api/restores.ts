import { z } from "@hono/zod-openapi";
import { idIn, idOut } from "#core/ids.ts";
import { FORCED } from "./forced.ts";
import { Instant } from "#core/contracts/values.ts";

const dryRun = z
  .boolean()
  .default(false)
  .openapi({ description: "Says what there is to do, and does nothing." });

export const RecordRestore = z
  .strictObject({
    restoredTo: Instant.openapi({
      description:
        "The instant whose state the database was restored to: in the 30 days before now.",
    }),
    dryRun,
  })
  .openapi("RecordRestore");

export const RestoreView = z
  .object({
    restoredTo: Instant,
    recordedAt: Instant.nullable().openapi({ description: "null: it is not said yet." }),
    destroysHeldUntil: Instant.nullable(),
    eventsReadAt: Instant.nullable().openapi({
      description: "When all of Stripe's events since were taken in again; null: not yet.",
    }),
    unheardHosts: z
      .array(
        z
          .object({ id: idOut("host"), name: z.string(), lastSeenAt: Instant.nullable() })
          .openapi("UnheardHost"),
      )
      .openapi({ description: "Hosts whose agents have not asked for their document since." }),
    unknownVms: z
      .array(
        z
          .object({
            id: idOut("vm"),
            hostId: idOut("host"),
            hostname: z.string(),
            imageId: idOut("image"),
            size: z
              .object({ vcpus: z.int(), memoryMib: z.int(), diskGib: z.int() })
              .openapi("UnknownVmSize"),
            address: z.string(),
            toldAt: Instant,
          })
          .openapi("UnknownVm"),
      )
      .openapi({
        description: "VMs that hosts hold and the database does not know: to be adopted.",
      }),
    unknownCheckouts: z
      .array(
        z
          .object({
            checkoutId: z.string(),
            orderId: z.string(),
            email: z.string().nullable(),
            amountMinor: z.string().nullable(),
            currency: z.string().nullable(),
          })
          .openapi("UnknownCheckout"),
      )
      .openapi({ description: "Sessions that are complete, for orders that the database lost." }),
  })
  .openapi("Restore");
export type RestoreView = z.infer<typeof RestoreView>;

export const AdoptVm = z
  .strictObject({
    checkoutId: z.string().regex(/^cs_[A-Za-z0-9_]{1,200}$/),
    accountId: idIn("account"),
    planId: idIn("plan"),
    ...FORCED,
  })
  .openapi("AdoptVm");
export const AdoptionView = z
  .object({ effects: z.array(z.string()), hash: z.string() })
  .openapi("Adoption");
