import { z } from "@hono/zod-openapi";
import { ROLES, SCOPES } from "#core/accounts/accounts.ts";
import { HOST_STATES } from "#core/hosts/place-vm.ts";
import { idIn, idOut } from "#core/ids.ts";
import { Currency, MoneyView } from "#core/money.ts";
import { BILLING_INTERVALS, ORDER_STATES } from "#core/orders/order.ts";
import {
  ACTION_ERROR_CODES,
  ACTION_STATUSES,
  ACTION_TYPES,
  REQUESTABLE_ACTIONS,
} from "#core/vms/action.ts";
import { whyNoSshKey } from "#core/vms/ssh-key.ts";
import { ACTION_STEPS, STEP_STATUSES } from "#core/vms/action-steps.ts";
import { VM_STATUSES } from "#core/vms/status.ts";
import { VmSize } from "#core/vms/vm.ts";
import {
  HostImage,
  CLOCK_PATTERN,
  Hypervisor,
  Instant,
  ObservedPower,
  OsFamily,
  DesiredPower,
} from "./agent.ts";
import { use } from "./named.ts";

/* The HTTP surface for customers, staff and integrations. Requests are strict; a bigint travels as a string. */

const Count = z.string().regex(/^\d+$/).openapi({ example: "1048576" });

/* Each enum and each nested object has a name, under which the OpenAPI document and clients made of it know it. */
export const Role = z.enum(ROLES).openapi("Role");
const ScopeName = z.enum(SCOPES).openapi("Scope");
const BillingInterval = z.enum(BILLING_INTERVALS).openapi("BillingInterval");

/** A short text for people, without control characters and halves of characters: no database keeps those. */
const Label = (max: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .refine(
      (text) => text.isWellFormed() && !/\p{Cc}/u.test(text),
      "may hold no control characters",
    )
    // The same as a pattern that takes no longer for a longer text: once the spaces in front are passed, each
    // character is looked at once.
    .openapi({ pattern: "^\\s*[^\\s\\p{Cc}\\p{Cs}][^\\p{Cc}\\p{Cs}]*$" });

/** An instant that a query may name: a year that every part of us can write. */
const QueryInstant = z.iso
  .datetime()
  .refine((text) => Date.parse(text) >= 0, "may not lie before 1970")
  .openapi({
    pattern: `^(?:19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}T${CLOCK_PATTERN}(?:\\.[0-9]+)?Z$`,
    example: "2026-03-01T12:00:00Z",
  });

/** More than any machine has, and what an integer column holds. */
const MOST_COUNT = 2 ** 30;

const HOSTNAME =
  /^(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
const MOST_HOSTNAME = 253;

/** RFC 1123 host name, lower case, with at least one letter: what a guest can be called. Refused with its own code. */
export const Hostname = z
  .string()
  .refine((name) => name.length <= MOST_HOSTNAME && HOSTNAME.test(name), {
    message: "a host name has letters, digits, hyphens and dots, in lower case, 253 in all",
    params: { code: "hostname_invalid" },
  })
  .openapi({
    example: "web-1.example.com",
    maxLength: MOST_HOSTNAME,
    pattern: HOSTNAME.source,
  });

/** An OpenSSH public key of a kind that sshd accepts today; one that is none is refused with its own code. */
export const SshKey = z
  .string()
  .max(8192)
  .superRefine((line, context) => {
    const why = whyNoSshKey(line);
    if (why !== undefined)
      context.addIssue({ code: "custom", message: why, params: { code: "ssh_key_invalid" } });
  })
  .openapi({
    example:
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqP0kX9y0m0x9Jf5dJ0qCq0y8n3q7r5W2s1t4u6v8wx ada@example",
  });

export const PlaceOrder = z
  .strictObject({
    planId: idIn("plan"),
    imageId: idIn("image"),
    locationId: idIn("location"),
    hostname: Hostname,
    sshKeys: z.array(SshKey).min(1).max(32),
    /** Given to cloud-init as it is. */
    userData: z
      .string()
      .max(16 * 1024)
      .refine((text) => !text.includes("\0"), "may not hold NUL")
      .openapi({ pattern: "^[^\\x00]*$", example: "#cloud-config\npackages: [nginx]\n" })
      .optional(),
    billingInterval: BillingInterval,
  })
  .openapi("PlaceOrder");
export type PlaceOrder = z.infer<typeof PlaceOrder>;

export const OrderView = z
  .object({
    id: idOut("order"),
    state: z.enum(ORDER_STATES).openapi("OrderState"),
    vmId: idOut("vm").nullable().openapi({ description: "Set once the order is paid." }),
    planId: idOut("plan"),
    imageId: idOut("image"),
    locationId: idOut("location"),
    hostname: z.string(),
    billingInterval: BillingInterval,
    total: MoneyView,
    createdAt: Instant,
    expiresAt: Instant.openapi({ description: "Until when the place is held for the payment." }),
    paidAt: Instant.nullable(),
  })
  .openapi("Order");
export type OrderView = z.infer<typeof OrderView>;

export const PlacedOrder = z
  .object({ order: OrderView, checkoutUrl: z.url() })
  .openapi("PlacedOrder");
export type PlacedOrder = z.infer<typeof PlacedOrder>;

export const PlanView = z
  .object({
    id: idOut("plan"),
    name: z.string(),
    ...VmSize.shape,
    trafficGib: z.int(),
    bandwidthMbit: z.int().nullable(),
    prices: z.array(
      z.object({ interval: BillingInterval, amount: MoneyView }).openapi("PlanPrice"),
    ),
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

const ActionError = z
  .object({
    code: z.enum(ACTION_ERROR_CODES).openapi("ActionErrorCode"),
    message: z.string(),
  })
  .openapi("ActionError");
export const ActionView = z
  .object({
    id: idOut("action"),
    vmId: idOut("vm"),
    type: z.enum(ACTION_TYPES).openapi("ActionType"),
    status: z.enum(ACTION_STATUSES).openapi("ActionStatus"),
    progress: z
      .int()
      .min(0)
      .max(100)
      .openapi({ description: "Percent, by the steps that are known to be done." }),
    steps: z
      .array(
        z
          .object({
            name: z.enum(ACTION_STEPS).openapi("ActionStepName"),
            status: z.enum(STEP_STATUSES).openapi("ActionStepStatus"),
            startedAt: Instant.nullable(),
            finishedAt: Instant.nullable(),
          })
          .openapi("ActionStep"),
      )
      .openapi({
        description:
          "In order. `make` and `boot` are a new VM's; another action is carried out in one step. A step that is " +
          "`pending` when the action has ended was never begun.",
      }),
    startedAt: Instant,
    finishedAt: Instant.nullable(),
    error: use(ActionError).nullable(),
  })
  .openapi("Action");
export type ActionView = z.infer<typeof ActionView>;

export const VmView = z
  .object({
    id: idOut("vm"),
    orderId: idOut("order"),
    hostname: z.string(),
    label: z.string().nullable().openapi({ description: "What you call it" }),
    status: z.enum(VM_STATUSES).openapi("VmStatus"),
    power: z
      .object({
        desired: DesiredPower,
        observed: use(ObservedPower).nullable().openapi({ description: "null: not known" }),
      })
      .openapi("VmPower"),
    suspended: z
      .array(z.enum(["overdue"]).openapi("SuspensionReason"))
      .openapi({ description: "Why it may not run; empty when it may." }),
    lockedBy: idOut("action")
      .nullable()
      .openapi({ description: "The action that runs now; others are refused until it ends." }),
    planId: idOut("plan"),
    imageId: idOut("image"),
    locationId: idOut("location"),
    size: VmSize,
    addresses: z.array(z.string()),
    entitledUntil: Instant.nullable(),
    createdAt: Instant,
  })
  .openapi("Vm");
export type VmView = z.infer<typeof VmView>;
export const ChangeVm = z
  .strictObject({
    label: Label(100).nullable().openapi({ description: "null takes it away" }),
  })
  .openapi("ChangeVm");

export const RequestAction = z
  .strictObject({ type: z.enum(REQUESTABLE_ACTIONS).openapi("RequestableAction") })
  .openapi("RequestAction");
export const RequestedAction = z.object({ action: ActionView }).openapi("RequestedAction");

const UsageBy = z.enum(["hour", "day"]).openapi("UsageBy");
export const UsageQuery = z.strictObject({
  from: QueryInstant.optional().openapi({
    param: { description: "From when on; a day before `to` when left out, and 35 days at most." },
  }),
  to: QueryInstant.optional().openapi({ param: { description: "Until when; now when left out." } }),
  by: use(UsageBy)
    .default("hour")
    .openapi({ param: { description: "How long each bucket is." } }),
});
const COUNTERS = {
  cpuNs: Count,
  rxBytes: Count,
  txBytes: Count,
  readBytes: Count,
  writeBytes: Count,
};
export const UsageView = z
  .object({
    from: Instant,
    to: Instant,
    totals: z.object(COUNTERS).openapi("UsageTotals"),
    buckets: z.array(z.object({ from: Instant, ...COUNTERS }).openapi("UsageBucket")),
    measuredUntil: Instant.nullable().openapi({ description: "The end of the newest sample." }),
  })
  .openapi("Usage");
export type UsageView = z.infer<typeof UsageView>;

export const InitialPasswordView = z
  .object({
    username: z.string(),
    password: z.string().openapi({ description: "Shown this once, and then erased: change it." }),
  })
  .openapi("InitialPassword");

export const InvoiceView = z
  .object({
    id: idOut("invoice"),
    orderId: idOut("order"),
    number: z.string().nullable(),
    status: z.string(),
    total: MoneyView,
    paid: MoneyView,
    hostedUrl: z.string().nullable(),
    createdAt: Instant,
  })
  .openapi("Invoice");
export type InvoiceView = z.infer<typeof InvoiceView>;

export const CreateToken = z
  .strictObject({
    name: Label(60),
    scopes: z.array(ScopeName).min(1),
    expiresInDays: z.int().min(1).max(3650).optional(),
  })
  .openapi("CreateToken");
export const TokenView = z
  .object({
    id: z.string(),
    name: z.string(),
    start: z.string(),
    scopes: z.array(ScopeName),
    createdAt: Instant,
    expiresAt: Instant.nullable(),
    lastUsedAt: Instant.nullable(),
  })
  .openapi("Token");
export const CreatedToken = z
  .object({
    token: TokenView,
    secret: z.string().openapi({ description: "Shown this once; it is stored only hashed." }),
  })
  .openapi("CreatedToken");
export const Me = z
  .object({
    id: idOut("account"),
    email: z.string(),
    name: z.string(),
    role: Role,
    scopes: z.array(ScopeName),
  })
  .openapi("Me");

const CapacityView = z
  .object({ vcpus: z.int(), memoryMib: z.int(), diskGib: z.int(), vms: z.int() })
  .openapi("HostCapacity");
export const HostView = z
  .object({
    id: idOut("host"),
    name: z.string(),
    locationId: idOut("location"),
    state: z.enum(HOST_STATES).openapi("HostState"),
    hypervisor: use(Hypervisor).nullable(),
    accelerator: z.string().nullable(),
    testOnly: z.boolean(),
    capacity: CapacityView,
    allocated: CapacityView,
    desiredGeneration: z.int(),
    lastSeenAt: Instant.nullable(),
    createdAt: Instant,
  })
  .openapi("Host");
export type HostView = z.infer<typeof HostView>;

export const AddHost = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/),
    locationId: idIn("location"),
    testOnly: z.boolean().default(false),
    cpuOvercommit: z.int().min(1).max(32).default(4),
  })
  .openapi("AddHost");
export const AddedHost = z
  .object({
    host: HostView,
    joinToken: z
      .string()
      .openapi({ description: "For `berth-agent enroll`; works once, within 15 minutes." }),
    joinTokenExpiresAt: Instant,
  })
  .openapi("AddedHost");

const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const Ipv4 = z.ipv4().openapi({ format: "ipv4", example: "192.0.2.1" });

export const AddLocation = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/),
    city: Label(100),
    country: z.string().regex(/^[A-Z]{2}$/, "an ISO 3166 code of two letters"),
    nameservers: z.array(Ipv4).min(1).max(4),
  })
  .openapi("AddLocation");
export const AddPool = z
  .strictObject({
    cidr: z.cidrv4().openapi({
      description: "A block of /16 to /30, by its first address",
      pattern: `^${OCTET}(?:\\.${OCTET}){3}/(?:1[6-9]|2[0-9]|30)$`,
      example: "192.0.2.0/24",
    }),
    gateway: Ipv4.openapi({ description: "An address in the block, for no VM" }),
    vlan: z.int().min(1).max(4094).nullable().default(null),
  })
  .openapi("AddPool");
export const AddedPool = z.object({ addresses: z.int() }).openapi("AddedPool");
export const AddPlan = z
  .strictObject({
    name: Label(60),
    ...VmSize.shape,
    trafficGib: z.int().nonnegative().max(MOST_COUNT),
    bandwidthMbit: z.int().positive().max(400_000).nullable().default(null),
    diskIops: z.int().positive().max(10_000_000).nullable().default(null),
    prices: z
      .array(
        z
          .strictObject({
            interval: BillingInterval,
            amountMinor: z
              .string()
              .regex(/^[1-9]\d{0,8}$/)
              .openapi({ description: "In the currency's minor unit", example: "500" }),
            currency: Currency,
          })
          .openapi("AddPlanPrice"),
      )
      .min(1)
      .max(6)
      .refine(
        (prices) => new Set(prices.map((p) => p.interval)).size === prices.length,
        "one price for each interval",
      )
      .openapi({
        description: "One price for each interval",
        allOf: BILLING_INTERVALS.map((interval) => ({
          contains: { properties: { interval: { const: interval } }, required: ["interval"] },
          minContains: 0,
          maxContains: 1,
        })),
      }),
  })
  .openapi("AddPlan");
export type AddPlan = z.infer<typeof AddPlan>;
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
  })
  .openapi("AddImage");
export type AddImage = z.infer<typeof AddImage>;
const Added = (kind: "plan" | "image" | "location") =>
  z.object({ id: idOut(kind) }).openapi(`Added${kind[0]?.toUpperCase()}${kind.slice(1)}`);
export const AddedPlan = Added("plan");
export const AddedImage = Added("image");
export const AddedLocation = Added("location");

export const PageQuery = z.strictObject({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(100)
    .default(25)
    .openapi({ param: { description: "How many items at most." } }),
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,100}$/)
    .optional()
    .openapi({ param: { description: "`nextCursor` of the page before." } }),
});
const pageOf = <T extends z.ZodType>(name: string, item: T) =>
  z
    .object({
      items: z.array(item),
      nextCursor: z
        .string()
        .nullable()
        .openapi({ description: "The `cursor` of the next page; null on the last." }),
    })
    .openapi(name);
export const PlanPage = pageOf("PlanPage", PlanView);
export const ImagePage = pageOf("ImagePage", ImageView);
export const LocationPage = pageOf("LocationPage", LocationView);
export const VmPage = pageOf("VmPage", VmView);
export const InvoicePage = pageOf("InvoicePage", InvoiceView);
export const TokenPage = pageOf("TokenPage", TokenView);
export const HostPage = pageOf("HostPage", HostView);
