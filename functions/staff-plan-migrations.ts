import { createRoute, z } from "@hono/zod-openapi";
import type { MigrationVmState } from "#core/billing/plan-migration.ts";
import { PageQuery } from "#core/contracts/api/page.ts";
import {
  ChangePlanMigration,
  MigratePlans,
  PlanMigrationDetails,
  PlanMigrationPage,
  PlanMigrationVmPage,
  PlanMigrationVmQuery,
  type PlanMigrationView,
  type PlanMigrationVmView,
} from "#core/contracts/api/plan-migrations.ts";
import { idIn, toWireId } from "#core/ids.ts";
import { toMoneyView } from "#core/money.ts";
import {
  changeMigration,
  showMigration,
  showMigrations,
  showMigrationVms,
  type CountedMigration,
  type ListedMigrationVm,
  type MigrationDetails,
} from "#commands/billing/change-plan-migration.ts";
import { beginMigration, planMigration } from "#commands/billing/plan-migration.ts";
import type { Deps } from "#commands/deps.ts";
import { ringNow } from "#commands/messages/relay-outbox.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const ofOne = z.object({ id: idIn("plan_migration") });

const migrateRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:write"),
    operationId: "migratePlans",
    summary: "Bring many VMs from one plan to another, or look what that would do",
    description:
      "A dry run is kept, with a row for each VM by our own figures. Its hash names the rules: the versions of the plans, how each machine would " +
      "get there, and what stands against it. The call that begins it carries that hash within a day, and is `plan_changed` once the rules " +
      "are others. Each VM is judged anew, with the payment provider's figures, when its turn comes: one that is worse than shown is left as it is. " +
      "A VM whose own host cannot make it what it becomes moves first (`move`): to the host of its location that placement finds, where room for that is held " +
      "from the beginning. Only where no host can is it refused.",
    tags: ["Staff"],
    method: "post",
    path: "/staff/v1/plan-migrations",
    request: { body: { required: true, content: json(MigratePlans) } },
    responses: {
      200: { description: "What it would do", content: json(PlanMigrationDetails) },
      202: { description: "Begun", content: json(PlanMigrationDetails) },
      ...problems(
        "plan_not_found",
        "plan_changed",
        "plan_migration_without_vms",
        "plan_migration_too_large",
      ),
    },
  });

const listRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:read"),
    operationId: "listPlanMigrations",
    summary: "Plan migrations, and dry runs of some days, the newest first",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/plan-migrations",
    request: { query: PageQuery },
    responses: { 200: { description: "A page of them", content: json(PlanMigrationPage) } },
  });

const showRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:read"),
    operationId: "showPlanMigration",
    summary: "A plan migration: how far it is, and what its dry run showed",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/plan-migrations/{id}",
    request: { params: ofOne },
    responses: {
      200: { description: "The migration", content: json(PlanMigrationDetails) },
      ...problems("plan_migration_not_found"),
    },
  });

const vmsRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:read"),
    operationId: "listPlanMigrationVms",
    summary: "The VMs of a plan migration, each with its action",
    tags: ["Staff"],
    method: "get",
    path: "/staff/v1/plan-migrations/{id}/vms",
    request: { params: ofOne, query: PlanMigrationVmQuery },
    responses: {
      200: { description: "A page of them", content: json(PlanMigrationVmPage) },
      ...problems("plan_migration_not_found"),
    },
  });

const changeRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["staff"], "vms:write"),
    operationId: "changePlanMigration",
    summary: "Pause, resume or stop a plan migration, or retry what failed",
    description:
      "Changes that were begun go on to their ends. Resumed or retried, what failed before stops it no more. Stopped, it is over.",
    tags: ["Staff"],
    method: "patch",
    path: "/staff/v1/plan-migrations/{id}",
    request: { params: ofOne, body: { required: true, content: json(ChangePlanMigration) } },
    responses: {
      200: { description: "As it is now", content: json(PlanMigrationDetails) },
      ...problems("plan_migration_not_found", "plan_migration_wrong_state"),
    },
  });

/** What staff sell many customers otherwise from now on. */
export const staffPlanMigrationRoutes = (deps: Deps) =>
  newRouter<AccountEnv>()
    .openapi(migrateRoute(deps), async (c) => {
      const { from, to, filter, dryRun, hash, ...pace } = c.req.valid("json");
      const { locationId = null, hostId = null, accountId = null, billingInterval } = filter;
      const asked = {
        ...pace,
        fromPlanId: from.planId,
        fromVersion: from.version ?? null,
        toPlanId: to.planId,
        locationId,
        hostId,
        accountId,
        interval: billingInterval ?? null,
      };
      const who = c.get("who");
      if (dryRun) {
        const planned = unwrap(await planMigration(deps, who, asked));
        return c.json(toDetailsView(unwrap(await showMigration(deps, planned.id))), 200);
      }
      const begun = unwrap(await beginMigration(deps, who, asked, hash));
      await ringNow(deps);
      return c.json(toDetailsView(unwrap(await showMigration(deps, begun.id))), 202);
    })
    .openapi(listRoute(deps), async (c) => {
      const { limit, cursor = null } = c.req.valid("query");
      const page = await showMigrations(deps, { limit, cursor });
      return c.json({ items: page.items.map(toView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(vmsRoute(deps), async (c) => {
      const { limit, cursor = null, state = null } = c.req.valid("query");
      const { id } = c.req.valid("param");
      const page = unwrap(await showMigrationVms(deps, id, state, { limit, cursor }));
      return c.json({ items: page.items.map(toVmView), nextCursor: page.nextCursor }, 200);
    })
    .openapi(showRoute(deps), async (c) =>
      c.json(toDetailsView(unwrap(await showMigration(deps, c.req.valid("param").id))), 200),
    )
    .openapi(changeRoute(deps), async (c) => {
      const { id } = c.req.valid("param");
      const changed = await changeMigration(deps, c.get("who"), id, c.req.valid("json").do);
      await ringNow(deps);
      return c.json(toDetailsView(unwrap(changed)), 200);
    });

const toView = (m: CountedMigration): PlanMigrationView => {
  const count = (of: MigrationVmState) => m.vms[of] ?? 0;
  return {
    id: toWireId("plan_migration", m.id),
    state: m.state,
    hash: m.hash,
    from: { planId: toWireId("plan", m.fromPlanId), version: m.fromVersion },
    to: { planId: toWireId("plan", m.toPlanId), version: m.toVersion },
    filter: {
      locationId: m.locationId && toWireId("location", m.locationId),
      hostId: m.hostId && toWireId("host", m.hostId),
      accountId: m.accountId && toWireId("account", m.accountId),
      billingInterval: m.interval,
    },
    when: m.when,
    price: m.price,
    maxParallel: m.maxParallel,
    stopAfterFailures: m.stopAfterFailures,
    announceDays: m.announceDays,
    reason: m.reason,
    askedBy: toWireId("account", m.askedBy),
    failures: m.failures,
    vms: {
      waiting: count("waiting"),
      refused: count("refused"),
      judging: count("judging"),
      moving: count("moving"),
      arrived: count("arrived"),
      running: count("running"),
      done: count("done"),
      failed: count("failed"),
      drifted: count("drifted"),
      left_out: count("left_out"),
    },
    createdAt: m.createdAt.toISOString(),
    begunAt: m.begunAt?.toISOString() ?? null,
    movedAt: m.movedAt.toISOString(),
    endedAt: m.endedAt?.toISOString() ?? null,
  };
};

const toDetailsView = (m: MigrationDetails): z.infer<typeof PlanMigrationDetails> => ({
  ...toView(m),
  totals: {
    methods: [...m.totals.methods],
    differences: m.totals.differences.map(toMoneyView),
    refusals: [...m.totals.refusals],
  },
});

const toVmView = (vm: ListedMigrationVm): PlanMigrationVmView => ({
  vmId: toWireId("vm", vm.vmId),
  hostname: vm.hostname,
  accountId: toWireId("account", vm.accountId),
  state: vm.state,
  from: { vcpus: vm.fromVcpus, memoryMib: vm.fromMemoryMib, diskGib: vm.fromDiskGib },
  toDiskGib: vm.toDiskGib,
  method: vm.method,
  toHost: vm.toHost && { id: toWireId("host", vm.toHost.id), name: vm.toHost.name },
  downSeconds: vm.downSeconds,
  difference: vm.difference && toMoneyView(vm.difference),
  refusals: [...vm.refusals],
  dueAt: vm.dueAt.toISOString(),
  announcedAt: vm.announcedAt?.toISOString() ?? null,
  moveActionId: vm.moveActionId && toWireId("action", vm.moveActionId),
  actionId: vm.actionId && toWireId("action", vm.actionId),
  detail: vm.detail,
  endedAt: vm.endedAt?.toISOString() ?? null,
});
