import { z } from "@hono/zod-openapi";
import {
  MIGRATION_STATES,
  MIGRATION_VM_STATES,
  type MigrationVmState,
} from "#core/billing/plan-migration.ts";
import { CHANGE_PRICES } from "#core/billing/quote.ts";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";
import { idIn, idOut } from "#core/ids.ts";
import { MoneyView } from "#core/money.ts";
import { VmSize } from "#core/vms/vm.ts";
import { BillingInterval } from "./catalogue.ts";
import { FORCED, REASON } from "./forced.ts";
import { PageQuery, pageOf } from "./page.ts";
import { ChangeWhen, ResizeMethod } from "./resizes.ts";

export const ChangePrice = z.enum(CHANGE_PRICES).openapi("ChangePrice", {
  description:
    "`new`: as the version costs that they come to. `keep`: each goes on paying what it pays, whatever that version costs.",
});

const state = z.enum(MIGRATION_STATES).openapi("PlanMigrationState");
const vmState = z.enum(MIGRATION_VM_STATES).openapi("PlanMigrationVmState", {
  description:
    "`refused`: by the dry run already; `judging`: it is its turn, and the payment provider is asked; `moving`: it goes to a host that has room for " +
    "what it becomes; `arrived`: it is there, and its change comes next; `drifted`: at its turn it was worse than " +
    "shown, and it was left as it is; `left_out`: it is gone, or of another plan by now.",
});

/** More at once than anybody can look after. */
const pace = z.int().min(1).max(1_000);
const MOST_DAYS = 90;

export const MigratePlans = z
  .strictObject({
    from: z
      .strictObject({
        planId: idIn("plan"),
        version: z
          .int()
          .min(1)
          .max(2 ** 31 - 1)
          .optional()
          .openapi({
            description: "Left out: VMs of each of its versions but the one that they come to.",
          }),
      })
      .openapi("PlanMigrationSource"),
    to: z
      .strictObject({
        planId: idIn("plan").openapi({ description: "They come to its newest version." }),
      })
      .openapi("PlanMigrationTarget"),
    filter: z
      .strictObject({
        locationId: idIn("location").optional(),
        hostId: idIn("host").optional(),
        accountId: idIn("account").optional(),
        billingInterval: use(BillingInterval).optional(),
      })
      .default({})
      .openapi("PlanMigrationFilter"),
    when: use(ChangeWhen),
    price: use(ChangePrice),
    maxParallel: pace
      .default(5)
      .openapi({ description: "So many VMs are changed at once, at most." }),
    stopAfterFailures: pace
      .default(3)
      .openapi({ description: "When so many could not, it pauses by itself." }),
    announceDays: z.int().min(0).max(MOST_DAYS).default(7).openapi({
      description:
        "Owners are mailed so many days before any of their VMs is touched; 0: they are not.",
    }),
    ...REASON,
    ...FORCED,
  })
  .openapi("MigratePlans");

export const ChangePlanMigration = z
  .strictObject({
    do: z.enum(["pause", "resume", "stop", "retry"]).openapi("PlanMigrationCommand"),
  })
  .openapi("ChangePlanMigration");

const vms = z.int().nonnegative();
const counts = {
  waiting: vms,
  refused: vms,
  judging: vms,
  moving: vms,
  arrived: vms,
  running: vms,
  done: vms,
  failed: vms,
  drifted: vms,
  left_out: vms,
} as const satisfies Record<MigrationVmState, z.ZodType>;

export const PlanMigrationView = z
  .object({
    id: idOut("plan_migration"),
    state,
    hash: z
      .string()
      .nullable()
      .openapi({ description: "Of the dry run; null: that is not whole." }),
    from: z
      .object({
        planId: idOut("plan"),
        version: z.int().nullable().openapi({ description: "null: each" }),
      })
      .openapi("MigratedFrom"),
    to: z.object({ planId: idOut("plan"), version: z.int() }).openapi("MigratedTo"),
    filter: z
      .object({
        locationId: idOut("location").nullable(),
        hostId: idOut("host").nullable(),
        accountId: idOut("account").nullable(),
        billingInterval: use(BillingInterval).nullable(),
      })
      .openapi("MigratedFilter"),
    when: use(ChangeWhen),
    price: use(ChangePrice),
    maxParallel: z.int(),
    stopAfterFailures: z.int(),
    announceDays: z.int(),
    reason: z.string(),
    askedBy: idOut("account"),
    failures: z.int().openapi({ description: "Since it was begun, resumed or retried." }),
    vms: z
      .object(counts)
      .openapi("PlanMigrationCounts", { description: "How many VMs are where." }),
    createdAt: Instant,
    begunAt: Instant.nullable(),
    movedAt: Instant.openapi({ description: "When anything of it last moved." }),
    endedAt: Instant.nullable(),
  })
  .openapi("PlanMigration");
export type PlanMigrationView = z.infer<typeof PlanMigrationView>;
export const PlanMigrationPage = pageOf("PlanMigrationPage", PlanMigrationView);

export const PlanMigrationDetails = z
  .object({
    ...PlanMigrationView.shape,
    totals: z
      .object({
        methods: z.array(
          z.object({ method: use(ResizeMethod), vms: z.int() }).openapi("PlanMigrationMethods"),
        ),
        differences: z.array(MoneyView).openapi({
          description:
            "By how much the prices of all that is not refused are above the present ones, for each interval as it is paid, before tax.",
        }),
        refusals: z.array(
          z.object({ code: z.string(), vms: z.int() }).openapi("PlanMigrationRefusals"),
        ),
      })
      .openapi("PlanMigrationTotals", { description: "As the dry run showed it." }),
  })
  .openapi("PlanMigrationDetails");
export type PlanMigrationDetails = z.infer<typeof PlanMigrationDetails>;

export const PlanMigrationVmQuery = PageQuery.extend({ state: vmState.optional() });

export const PlanMigrationVmView = z
  .object({
    vmId: idOut("vm"),
    hostname: z.string(),
    accountId: idOut("account"),
    state: vmState,
    from: VmSize,
    toDiskGib: z.int().openapi({
      description: "A disk never shrinks: it may be larger than that of the plan.",
    }),
    method: use(ResizeMethod),
    toHost: z
      .object({ id: idOut("host"), name: z.string() })
      .openapi("PlanMigrationDestination")
      .nullable()
      .openapi({
        description:
          "Where it moves to, and is resized then: as the dry run planned it, or as it was begun. null: it stays on its host.",
      }),
    downSeconds: z.int(),
    difference: use(MoneyView).nullable().openapi({
      description: "null: nobody is asked for money, or the prices cannot be compared.",
    }),
    refusals: z.array(z.string()).openapi({ description: "Codes, as of a quote." }),
    dueAt: Instant.openapi({ description: "Its turn comes no sooner." }),
    announcedAt: Instant.nullable(),
    moveActionId: idOut("action").nullable().openapi({ description: "Of its move." }),
    actionId: idOut("action").nullable().openapi({ description: "Of its resize." }),
    detail: z
      .string()
      .nullable()
      .openapi({ description: "Why it is refused, drifted, waits, or failed; for people." }),
    endedAt: Instant.nullable(),
  })
  .openapi("PlanMigrationVm");
export type PlanMigrationVmView = z.infer<typeof PlanMigrationVmView>;
export const PlanMigrationVmPage = pageOf("PlanMigrationVmPage", PlanMigrationVmView);
