import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { freezeBilling } from "#commands/billing/freeze-billing.ts";
import type { Deps } from "#commands/deps.ts";
import { ProviderUnavailable } from "#core/billing/payments.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { emits } from "#test/harness/emits.ts";
import { anActiveVm, aWorld, hostSees, type World } from "#test/harness/world.ts";

/* 5.1, invariant 25: a VM that is not there is not billed for longer than one resync and a day. */

let cp: ControlPlane;
let world: World;
let vmId: string;
beforeEach(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
  ({ vmId } = await anActiveVm(cp, world));
});
afterEach(() => cp.drop());

const lose = () =>
  hostSees(cp, world.hostId, vmId, {
    observed: null,
    settled: false,
    error: { code: "vm_missing", detail: "gone" },
  });
const isBack = () => hostSees(cp, world.hostId, vmId);
const NOTHING = { frozen: 0, resumed: 0, failed: 0 };
/** Time passes, and what falls due at the provider is followed. */
async function days(count: number): Promise<void> {
  cp.clock.advanceDays(count);
  cp.stripe.standIn.runDue();
  await cp.pump();
  cp.clock.advanceMinutes(61);
  cp.stripe.standIn.runDue();
  await cp.pump();
}
const paid = async () =>
  (await cp.rows("select status from invoices order by created_at")).map((row) => row["status"]);
const until = async () =>
  (await cp.rows("select entitled_until as until from services where vm_id = $1", vmId))[0]?.[
    "until"
  ];

describe("a VM that its host has lost", () => {
  test("is billed for a day, and then no more; what is paid already stays", async () => {
    await lose();
    cp.clock.advanceMinutes(24 * 60 - 1);
    expect(await freezeBilling(cp.deps)).toEqual(NOTHING);
    cp.clock.advanceMinutes(1);
    const before = await until();
    const frozen = await emits(cp, ["billing.frozen.v1"], () => freezeBilling(cp.deps));
    expect(frozen).toEqual({ ...NOTHING, frozen: 1 });
    expect(await freezeBilling(cp.deps)).toEqual(NOTHING);
    await days(65);
    expect(await paid()).toEqual(["paid"]);
    expect(await until()).toEqual(before);
  });

  test("and that is back in its paid time is billed as before, from its next period on", async () => {
    await lose();
    await days(2);
    await freezeBilling(cp.deps);
    await isBack();
    const resumed = await emits(cp, ["billing.resumed.v1"], () => freezeBilling(cp.deps));
    expect(resumed).toEqual({ ...NOTHING, resumed: 1 });
    await cp.pump();
    expect(await paid()).toEqual(["paid"]);
    await days(31);
    expect(await paid()).toEqual(["paid", "paid"]);
  });

  test("and that is back after its paid time pays for a period that begins then", async () => {
    await lose();
    await days(2);
    await freezeBilling(cp.deps);
    await days(40);
    await isBack();
    const at = cp.clock.now();
    expect(await freezeBilling(cp.deps)).toEqual({ ...NOTHING, resumed: 1 });
    await cp.pump();
    expect(await paid()).toEqual(["paid", "paid"]);
    const end = await until();
    expect(end instanceof Date && (+end - +at) / 86_400_000).toBeGreaterThan(27);
    expect(await freezeBilling(cp.deps)).toEqual(NOTHING);
  });

  test("whose provider is away is frozen when it is there again", async () => {
    await lose();
    cp.clock.advanceDays(1);
    const away = () => Promise.reject(new ProviderUnavailable("away"));
    const payments = { ...cp.deps.payments, pauseCollection: away };
    expect(await freezeBilling({ ...cp.deps, payments })).toEqual({ ...NOTHING, failed: 1 });
    expect(await freezeBilling(cp.deps)).toEqual({ ...NOTHING, frozen: 1 });
  });

  /** The provider does what it is asked, and we die before we hear of it. */
  const dying = (what: "pauseCollection" | "resumeCollection"): Deps => {
    const { payments } = cp.deps;
    const dies = async (...args: never[]) => {
      await (payments[what] as (...args: never[]) => Promise<unknown>)(...args);
      throw new ProviderUnavailable("nobody hears it");
    };
    return { ...cp.deps, payments: { ...payments, [what]: dies } };
  };
  const pausedAtProvider = () =>
    cp.stripe.standIn.store.all("subscription").map((each) => each.pause_collection !== null);

  // Seed 137 of the simulator.
  test("and that is back before it was known that its billing is frozen is billed again", async () => {
    await lose();
    cp.clock.advanceDays(1);
    expect(await freezeBilling(dying("pauseCollection"))).toEqual({ ...NOTHING, failed: 1 });
    expect(pausedAtProvider()).toEqual([true]);
    await isBack();
    expect(await freezeBilling(cp.deps)).toEqual({ ...NOTHING, resumed: 1 });
    expect(pausedAtProvider()).toEqual([false]);
    expect(await freezeBilling(cp.deps)).toEqual(NOTHING);
  });

  test("and that is lost again before it was known that it is billed again is frozen, and then billed", async () => {
    await lose();
    await days(2);
    await freezeBilling(cp.deps);
    await isBack();
    expect(await freezeBilling(dying("resumeCollection"))).toEqual({ ...NOTHING, failed: 1 });
    expect(pausedAtProvider()).toEqual([false]);
    await lose();
    cp.clock.advanceDays(1);
    expect(await freezeBilling(cp.deps)).toEqual({ ...NOTHING, frozen: 1 });
    expect(pausedAtProvider()).toEqual([true]);
    await isBack();
    expect(await freezeBilling(cp.deps)).toEqual({ ...NOTHING, resumed: 1 });
    expect(pausedAtProvider()).toEqual([false]);
  });

  test("and is deleted is not billed again", async () => {
    await lose();
    await days(2);
    await freezeBilling(cp.deps);
    await cp.rows("update vms set presence = 'absent' where id = $1", vmId);
    await isBack();
    expect(await freezeBilling(cp.deps)).toEqual(NOTHING);
  });
});
