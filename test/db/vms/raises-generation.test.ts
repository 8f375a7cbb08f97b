import { afterAll, beforeAll, expect, test } from "vitest";
import { extendEntitlement } from "#commands/billing/grant-time.ts";
import { suspendVm } from "#commands/billing/suspend-vm.ts";
import { followPlanChange } from "#commands/billing/follow-plan-change.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { ACTION_TIME_LIMIT_MS } from "#core/vms/action.ts";
import { PROVISIONING_DEADLINE_MS } from "#core/orders/decide-order.ts";
import { anAgentReport, aPrincipal } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aStoredQuote, aVmToResizeIn, take } from "#test/harness/plan-changes.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import {
  aPaidOrder,
  aProvisionedVm,
  anActiveVm,
  aWorld,
  hostSees,
  valueOf,
  type World,
} from "#test/harness/world.ts";

/*
 * The reader of desired documents raises the generation of whatever it finds changed, when it is next asked. What a command
 * changes is raised with it all the same: the doorbell names the generation, and one that names no new one is no news to
 * the agent that it wakes.
 */
let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

async function generationOf(hostId: string): Promise<number> {
  const [row] = await cp.rows("select desired_generation from hosts where id = $1", hostId);
  return Number(row?.["desired_generation"]);
}

const act = (world: World, vmId: string, type: "shutdown" | "reboot" | "delete") =>
  requestAction(cp.deps, { who: world.buyer, vmId, type }).then(valueOf);

/** Each makes ready what it needs, and gives what changes the host's document. */
const CHANGES: Record<string, (world: World) => Promise<() => Promise<unknown>>> = {
  "a paid order": async (world) => {
    await aPaidOrder(cp, world);
    return cp.pump;
  },
  "a shutdown": async (world) => {
    const { vmId } = await anActiveVm(cp, world);
    return () => act(world, vmId, "shutdown");
  },
  "a reboot": async (world) => {
    const { vmId } = await anActiveVm(cp, world);
    return () => act(world, vmId, "reboot");
  },
  "a reboot that is done": async (world) => {
    const { vmId } = await anActiveVm(cp, world);
    const { id: actionId } = await act(world, vmId, "reboot");
    const done = { actionId, vmId, outcome: "success", error: null } as const;
    return () => recordReport(cp.deps, world.hostId, anAgentReport({ actions: [done] }));
  },
  "an action that nobody confirmed in time": async (world) => {
    const { vmId } = await anActiveVm(cp, world);
    await act(world, vmId, "reboot");
    cp.clock.advance(ACTION_TIME_LIMIT_MS + 1);
    return () => watchProvisioning(cp.deps);
  },
  "the first look at a new VM": async (world) => {
    const { vmId } = await aProvisionedVm(cp, world);
    return () => hostSees(cp, world.hostId, vmId);
  },
  "a VM that is gone": async (world) => {
    const { vmId } = await anActiveVm(cp, world);
    await act(world, vmId, "delete");
    return () => hostSees(cp, world.hostId, vmId, { observed: null });
  },
  "a resize that is paid": async (world) => {
    const vm = await aVmToResizeIn(cp, world);
    const quote = await aStoredQuote(cp, vm);
    const { change } = valueOf(await take(cp, vm, quote.id));
    return () => followPlanChange(cp.deps, change.id);
  },
  "an order that is undone at its deadline": async (world) => {
    await aProvisionedVm(cp, world);
    cp.clock.advance(PROVISIONING_DEADLINE_MS + 1);
    return () => watchProvisioning(cp.deps);
  },
  // 6a item 6
  "a suspension": async (world) => {
    const { vmId } = await anActiveVm(cp, world);
    const who = aPrincipal({ role: "staff" });
    const of = { who, vmId, reason: "staff", note: "why" } as const;
    const { hash } = valueOf(await suspendVm(cp.deps, { ...of, dryRun: true }));
    return () => suspendVm(cp.deps, { ...of, dryRun: false, hash });
  },
  "time that staff grant": async (world) => {
    const { vmId } = await anActiveVm(cp, world);
    const of = { who: aPrincipal({ role: "staff" }), vmId, reason: "why", days: 1 };
    const { hash } = valueOf(await extendEntitlement(cp.deps, { ...of, dryRun: true }));
    return () => extendEntitlement(cp.deps, { ...of, dryRun: false, hash });
  },
  "a month that is paid": async (world) => {
    await anActiveVm(cp, world);
    cp.clock.advanceDays(31);
    cp.stripe.standIn.runDue();
    await cp.pump();
    cp.clock.advanceMinutes(61);
    cp.stripe.standIn.runDue();
    return cp.pump;
  },
};

test.each(Object.keys(CHANGES))(
  "%s raises its host's generation at once, and by one",
  async (name) => {
    const world = await aWorld(cp);
    const change = await CHANGES[name]?.(world);
    const before = await generationOf(world.hostId);
    await change?.();
    expect(await generationOf(world.hostId)).toBe(before + 1);
  },
);

test("a month that is not paid changes a status, and nothing on its host: no generation, and no doorbell", async () => {
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world, CARD.failsAtRenewal);
  const told = async () =>
    (await cp.rows("select name from outbox where data ->> 'vmId' = $1 order by seq", vmId)).map(
      (row) => row["name"],
    );
  const before = { generation: await generationOf(world.hostId), told: await told() };
  await cp.pump();
  cp.clock.advanceDays(31);
  cp.stripe.standIn.runDue();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
  const status = "select subscription_status from services where vm_id = $1";
  expect(await cp.rows(status, vmId)).toEqual([{ subscription_status: "past_due" }]);
  expect(await told()).toEqual([...before.told, "entitlement.changed.v1"]);
  expect(await generationOf(world.hostId)).toBe(before.generation);
});
