import {
  followPlanMigration,
  followPlanMigrations,
} from "#commands/billing/follow-plan-migration.ts";
import { beginMigration, planMigration } from "#commands/billing/plan-migration.ts";
import { showMigration } from "#commands/billing/change-plan-migration.ts";
import type { MigrationAsked, PlanMigration } from "#db/billing/plan-migrations.ts";
import { aPrincipal } from "#test/builders.ts";
import * as accountTables from "#db/schema/accounts.ts";
import type { ControlPlane } from "./control-plane.ts";
import { isSeen, later } from "./plan-changes.ts";
import { anActiveVm, aWorld, valueOf, type World } from "./world.ts";

export type Migrating = Readonly<{
  world: World;
  vmIds: readonly string[];
  staff: ReturnType<typeof aPrincipal>;
}>;

/** Running VMs of a world's plan, in the order of their turns. What the plan is sold as next is the test's. */
export async function someVms(
  cp: ControlPlane,
  size: number,
  options: Parameters<typeof aWorld>[1] = {},
): Promise<Migrating> {
  const world = await aWorld(cp, { places: size * 3, addresses: size + 2, ...options });
  const vmIds: string[] = [];
  for (let n = 0; n < size; n++) {
    const { vmId } = await anActiveVm(cp, world);
    vmIds.push(vmId);
    await isSeen(cp, { world, vmId });
  }
  return { world, vmIds: vmIds.sort(), staff: await aMemberOfStaff(cp) };
}

export async function aMemberOfStaff(cp: ControlPlane) {
  const staff = aPrincipal({ role: "staff" });
  const now = cp.clock.now();
  await cp.deps.db.insert(accountTables.accounts).values({
    id: staff.accountId,
    email: staff.email,
    name: staff.name,
    role: "staff",
    staffRole: "owner",
    emailVerified: true,
    createdAt: now,
    updatedAt: now,
  });
  return staff;
}

export const askedOf = (
  { world }: Pick<Migrating, "world">,
  over: Partial<MigrationAsked> = {},
): MigrationAsked => ({
  fromPlanId: world.planId,
  fromVersion: null,
  toPlanId: world.planId,
  locationId: null,
  hostId: null,
  accountId: null,
  interval: null,
  when: "now",
  price: "new",
  maxParallel: 2,
  stopAfterFailures: 3,
  announceDays: 0,
  reason: "the plan is sold no more",
  ...over,
});

/** A dry run. */
export const planned = async (
  cp: ControlPlane,
  of: Migrating,
  over: Partial<MigrationAsked> = {},
): Promise<PlanMigration> => valueOf(await planMigration(cp.deps, of.staff, askedOf(of, over)));

/** A dry run, and what begins it. Nobody follows it yet. */
export async function begun(
  cp: ControlPlane,
  of: Migrating,
  over: Partial<MigrationAsked> = {},
): Promise<string> {
  const { id, hash } = await planned(cp, of, over);
  valueOf(await beginMigration(cp.deps, of.staff, askedOf(of, over), hash ?? undefined));
  return id;
}

export const follow = (cp: ControlPlane, id: string): Promise<string> =>
  followPlanMigration(cp.deps, id);

/** Its VMs by their states, in the order of their ids. */
export const statesOf = async (cp: ControlPlane, id: string): Promise<readonly string[]> =>
  (
    await cp.rows("select state from plan_migration_vms where migration_id = $1 order by vm_id", id)
  ).map((row) => String(row["state"]));

export const stateOf = async (cp: ControlPlane, id: string): Promise<string> =>
  valueOf(await showMigration(cp.deps, id)).state;

/** Its hosts show what they are told, until nothing moves. */
export async function throughout(cp: ControlPlane, { world, vmIds }: Migrating): Promise<void> {
  for (let rounds = 0; rounds < vmIds.length + 2; rounds++) {
    await cp.pump();
    for (const vmId of vmIds) await isSeen(cp, { world, vmId });
    await later(cp, 1);
    await followPlanMigrations(cp.deps);
  }
  await cp.pump();
}
