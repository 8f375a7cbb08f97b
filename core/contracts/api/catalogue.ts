import { z } from "@hono/zod-openapi";
import { MOST_TRIAL_DAYS, TRIAL_ENDS } from "#core/catalogue/trial-policy.ts";
import { DOWNGRADES, TAX_BEHAVIORS } from "#core/catalogue/sold.ts";
import { HOST_IMAGE_STATES } from "#core/hosts/image-fetch.ts";
import { idIn, idOut } from "#core/ids.ts";
import { CURRENCIES } from "#core/currencies.ts";
import { Currency, MoneyView } from "#core/money.ts";
import { BILLING_INTERVALS } from "#core/orders/order.ts";
import { VmSize } from "#core/vms/vm.ts";
import { HostImage } from "#core/contracts/agent/desired.ts";
import { FORCED, REASON } from "./forced.ts";
import { pageOf } from "./page.ts";
import { Label, MOST_COUNT } from "./values.ts";
import {
  DiskBus,
  Firmware,
  Hypervisor,
  ImageFetchSource,
  Ipv4,
  OsFamily,
  SecureBoot,
  Sha256,
} from "#core/contracts/values.ts";
import { isSoundHardware } from "#core/vms/image-hardware.ts";
import { use } from "#core/contracts/named.ts";

export const BillingInterval = z.enum(BILLING_INTERVALS).openapi("BillingInterval");

const Downgrade = z.enum(DOWNGRADES).openapi("Downgrade", {
  description:
    "When a VM of it becomes one of a cheaper plan: when its period is renewed, or at once.",
});

export const TrialEnds = z.enum(TRIAL_ENDS).openapi("TrialEnds", {
  description:
    "`payment`: a card is asked for, and charged when it is over. `suspension`: none is; its VM stops, unless a card was saved.",
});

const TaxBehavior = z.enum(TAX_BEHAVIORS).openapi("TaxBehavior", {
  description:
    "Whether the price has its tax in it. Left out: as Stripe's account says. Stripe keeps what a price once said: another is another price.",
});

export const PlanPrice = z
  .object({ interval: BillingInterval, amount: MoneyView })
  .openapi("PlanPrice");

export const PlanView = z
  .object({
    id: idOut("plan"),
    name: z.string(),
    version: z.int().openapi({
      description: "Each change is another version; who bought an older one keeps that.",
    }),
    ...VmSize.shape,
    trafficGib: z.int(),
    bandwidthMbit: z.int().nullable(),
    downgrade: use(Downgrade),
    prices: z.array(PlanPrice).openapi({
      description:
        "One for each interval and currency that it is sold in, by currency. An account pays in one, which its first payment fixes.",
    }),
    trial: z
      .object({
        days: z.int(),
        endsIn: use(TrialEnds),
      })
      .nullable()
      .openapi("PlanTrial", {
        description: "It may be tried first, for so long, for nothing; null: not now.",
      }),
    locations: z.array(
      z
        .object({
          locationId: idOut("location"),
          available: z.boolean().openapi({ description: "There is room for one more right now." }),
          imageIds: z
            .array(idOut("image"))
            .openapi({ description: "The images it could be made from there right now." }),
        })
        .openapi("PlanLocation"),
    ),
  })
  .openapi("Plan");
export type PlanView = z.infer<typeof PlanView>;

export const ImageView = z
  .object({
    id: idOut("image"),
    name: z.string(),
    os: OsFamily,
    minMemoryMib: z.int(),
    minDiskGib: z.int(),
    locationIds: z
      .array(idOut("location"))
      .openapi({ description: "Where hosts run it, full or not." }),
  })
  .openapi("Image");
export type ImageView = z.infer<typeof ImageView>;

export const LocationView = z
  .object({ id: idOut("location"), name: z.string(), city: z.string(), country: z.string() })
  .openapi("Location");
export type LocationView = z.infer<typeof LocationView>;

export const AddLocation = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/),
    city: Label(100),
    country: z.string().regex(/^[A-Z]{2}$/, "an ISO 3166 code of two letters"),
    nameservers: z.array(Ipv4).min(1).max(4),
  })
  .openapi("AddLocation");

const Days = (least: number, most: number) => z.int().min(least).max(most);
export const OfferTrials = z
  .strictObject({
    terms: z
      .strictObject({
        days: Days(1, MOST_TRIAL_DAYS).openapi({ description: "How long a trial is." }),
        endsIn: use(TrialEnds),
        suspendDays: Days(0, 31).openapi({
          description:
            "How long a VM runs on unpaid when its trial is over: so many days of its price are the most that it ever owes.",
        }),
        noticeDays: Days(0, 30).openapi({
          description:
            "How long before its end it is told; at once, where that is before its begin.",
        }),
        mostAtOnce: z.int().positive().max(1_000_000).openapi({
          description: "So many run at once, of all customers.",
        }),
        planIds: z
          .array(idIn("plan"))
          .min(1)
          .max(100)
          .nullable()
          .openapi({ description: "null: of every plan that is on sale." }),
      })
      .nullable()
      .openapi("TrialTerms", { description: "null: nothing may be tried any more." }),
    ...REASON,
    ...FORCED,
  })
  .openapi("OfferTrials");

export const AddPlan = z
  .strictObject({
    name: Label(60),
    ...VmSize.shape,
    trafficGib: z.int().nonnegative().max(MOST_COUNT),
    bandwidthMbit: z.int().positive().max(400_000).nullable().default(null),
    diskIops: z.int().positive().max(10_000_000).nullable().default(null),
    downgrade: use(Downgrade).default("renewal"),
    prices: z
      .array(
        z
          .strictObject({
            interval: BillingInterval,
            amountMinor: z
              .string()
              .regex(/^[1-9]\d{0,8}$/)
              .openapi({
                description:
                  "In the currency's minor unit, and on its step: in `kwd` the last digit is 0, in `isk` the last two (`price_off_step`).",
                example: "500",
              }),
            currency: Currency,
            taxBehavior: use(TaxBehavior).optional(),
          })
          .openapi("AddPlanPrice"),
      )
      .min(1)
      .max(BILLING_INTERVALS.length * CURRENCIES.length)
      .refine(
        (prices) =>
          new Set(prices.map((p) => `${p.interval} ${p.currency}`)).size === prices.length,
        "one price for each interval and currency",
      )
      .openapi({ description: "One price for each interval and currency" }),
  })
  .openapi("AddPlan");
export type AddPlan = z.infer<typeof AddPlan>;

export const AddPlanVersion = AddPlan.omit({ name: true }).openapi("AddPlanVersion", {
  description: "All that the plan is to be from now on: nothing of the version before is kept.",
});
export type AddPlanVersion = z.infer<typeof AddPlanVersion>;

export const AddImage = z
  .strictObject({
    name: Label(60),
    os: OsFamily,
    file: HostImage.shape.file.openapi({
      description: "The file's name on every host, without its ending",
    }),
    hypervisors: z.array(Hypervisor).min(1),
    minMemoryMib: z.int().positive().max(MOST_COUNT),
    minDiskGib: z.int().positive().max(MOST_COUNT),
    sha256: z
      .strictObject({
        kvm: Sha256.optional(),
        hyperv: Sha256.optional(),
      } satisfies Record<z.infer<typeof Hypervisor>, unknown>)
      .default({})
      .openapi("ImageSums", {
        description:
          "Of the file's bytes, by hypervisor: only hosts that hold just these make VMs from it. For one that is left " +
          "out any file of that name will do.",
      }),
    speaks: z
      .boolean()
      .default(true)
      .openapi({
        description:
          "Whether its guest says that it is up, on its serial console or by a guest agent. A VM whose guest should and does not " +
          "is delivered after ten minutes all the same, and told to staff.",
      }),
    firmware: use(Firmware)
      .nullable()
      .default(null)
      .openapi({
        description:
          "`bios` is generation 1 on Hyper-V, `uefi` generation 2. null: what the hypervisor gives of itself, BIOS on KVM and " +
          "generation 2 on Hyper-V.",
      }),
    secureBoot: use(SecureBoot)
      .nullable()
      .default(null)
      .openapi({
        description:
          "Whose signatures the firmware takes, for `uefi` alone. null: none on KVM; on Hyper-V those for the system, and none " +
          "for FreeBSD.",
      }),
    diskBus: use(DiskBus).nullable().default(null).openapi({
      description:
        "How a KVM guest finds its disk; Hyper-V has its own. `sata` for images without drivers of virtio. null: virtio.",
    }),
  })
  .refine(isSoundHardware, {
    path: ["secureBoot"],
    message: "only the firmware uefi checks signatures",
  })
  .openapi("AddImage", {
    allOf: [
      {
        anyOf: [
          { properties: { secureBoot: { type: "null" } } },
          { properties: { firmware: { const: "uefi" } }, required: ["firmware"] },
        ],
      },
    ],
  });
export type AddImage = z.infer<typeof AddImage>;

const Added = (kind: "plan" | "image" | "location") =>
  z.object({ id: idOut(kind) }).openapi(`Added${kind[0]?.toUpperCase()}${kind.slice(1)}`);

export const AddedPlan = Added("plan");

export const AddedPlanVersion = z
  .object({ id: idOut("plan"), version: z.int() })
  .openapi("AddedPlanVersion");

export const AddedImage = Added("image");

export const AddedLocation = Added("location");

export const PlanPage = pageOf("PlanPage", PlanView);

export const ImagePage = pageOf("ImagePage", ImageView);

export const LocationPage = pageOf("LocationPage", LocationView);

/** Without name and password: a URL is shown, and kept. */
const ImageUrl = z
  .url({ protocol: /^https?$/ })
  .max(2000)
  .refine((url) => !URL.parse(url)?.username && !URL.parse(url)?.password, "no user in the URL")
  .openapi({ pattern: "^https?://[^@/]+(/.*)?$", example: "https://images.example.com/a.qcow2" });

export const SetImageSource = z
  .strictObject({
    hypervisor: Hypervisor,
    url: ImageUrl,
    sha256: Sha256,
    bytes: z.int().positive().nullable().default(null).openapi({
      description: "The file's size: a server that says or sends another is not gone on with.",
    }),
    locationIds: z.array(idIn("location")).min(1).max(100).nullable().default(null).openapi({
      description: "Whose hosts should hold it; null: all hosts of the hypervisor.",
    }),
  })
  .openapi("SetImageSource");

export const ImageSourceView = z
  .object({
    imageId: idOut("image"),
    hypervisor: Hypervisor,
    url: z.url(),
    sha256: Sha256,
    bytes: z.int().positive().nullable(),
    locationIds: z.array(idOut("location")).nullable(),
  })
  .openapi("ImageSource");

/** Whence a host has an image, by its own word. */
export const ImageOrigin = z.object({
  source: use(ImageFetchSource).nullable().openapi({
    description:
      "Whence it comes, or came last. null: from nowhere yet, put there by hand, or its agent does not say.",
  }),
  sourceHost: use(z.object({ id: idOut("host"), name: z.string() }).openapi("ImageOriginHost"))
    .nullable()
    .openapi({ description: "The host that it comes from; null: none." }),
});

export const HostImageView = z
  .object({
    hostId: idOut("host"),
    hostName: z.string(),
    state: z.enum(HOST_IMAGE_STATES).openapi("HostImageState", {
      description:
        "`held`: VMs are made from it. `fetched`: it lies there, and the host has not listed it yet. `other_file`: another file " +
        "lies under its name, or it has changed; nothing is fetched over it.",
    }),
    doneBytes: z.int().nonnegative(),
    totalBytes: z
      .int()
      .nonnegative()
      .nullable()
      .openapi({ description: "null while nobody has said it." }),
    why: z.string().nullable().openapi({ description: "Why it last failed, for people." }),
    ...ImageOrigin.shape,
  })
  .openapi("HostImageProgress");

export const HostImagePage = pageOf("HostImageProgressPage", HostImageView);
