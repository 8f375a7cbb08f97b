import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { followMaintenance } from "#commands/hosts/follow-maintenance.ts";
import { activateHost } from "#commands/hosts/move-host.ts";
import { showHost } from "#commands/hosts/show-hosts.ts";
import { followDrains } from "#commands/moves/follow-drain.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  aHostToEmpty,
  allSpeak,
  asksToDrain,
  beginsToDrain,
  drainRows,
  endsOf,
  movesFrom,
  outcomeOf,
  type HostToEmpty,
} from "#test/harness/drains.ts";
import { bringTo } from "#test/harness/moves.ts";
import { hostSees, valueOf } from "#test/harness/world.ts";
import { hoursFromNow, plans } from "../hosts/host-move-builders.ts";

/* 6b item 4: customers of cold moves are told so many hours before, with a window. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const from = (hours: number) => hoursFromNow(cp, hours);
const aWindow = () => ({ startsAt: from(20), endsAt: from(22), noticeHours: 12 });
/** What the customer was mailed of it. */
const told = ({ world }: HostToEmpty) =>
  cp.mails
    .filter(({ to, subject }) => to === world.buyer.email && /move of your servers/.test(subject))
    .map(({ subject }) => subject.replace("Berth: A move of your servers", "told"));
/** Time goes by as it does: the sweep looks, and the hosts speak. */
async function pass(of: HostToEmpty, hours: number): Promise<void> {
  cp.clock.advanceMinutes(hours * 60);
  await allSpeak(cp, of);
  await followMaintenance(cp.deps);
  await followDrains(cp.deps);
  await cp.pump();
}
async function turnOff(vmId: string | undefined) {
  await cp.rows("update vms set desired_power = 'off' where id = $1", vmId);
}
async function activates(of: HostToEmpty): Promise<void> {
  const asked = { who: of.staff, hostId: of.from, reason: "it is quiet again" };
  const { hash } = valueOf(await activateHost(cp.deps, { ...asked, dryRun: true }));
  valueOf(await activateHost(cp.deps, { ...asked, dryRun: false, hash }));
}
async function allArrive(of: HostToEmpty): Promise<void> {
  for (const move of await movesFrom(cp, of))
    await bringTo(cp, endsOf(of, move), { move }, "ended");
}

describe("a drain with a time in which it may stop VMs", () => {
  test("moves at once what is off, and what runs in that time alone, of which its customers were told before", async () => {
    const of = await aHostToEmpty(cp, { vms: 2, others: [2] });
    await turnOff(of.vmIds[1]);
    const window = aWindow();
    const { id, plan } = await beginsToDrain(cp, of, { window });
    expect(plan.vms.map(({ interrupts }) => interrupts)).toEqual([true, false]);
    expect(plan.effects).toContain(
      `what runs is stopped for it between ${window.startsAt.toISOString()} and ${window.endsAt.toISOString()} alone, of which its customers are told 12 hours before`,
    );
    await pass(of, 0);
    const waits = { state: "waiting", reason: "window_ahead", tries: 0 };
    expect(await drainRows(cp, id)).toMatchObject([waits, { state: "moving" }]);
    const [off] = await movesFrom(cp, of);
    if (!off) throw new Error("what is off does not move");
    await bringTo(cp, endsOf(of, off), { move: off }, "take_over");
    const observed = { power: "off", bootEpoch: null } as const;
    await hostSees(cp, off.destinationHostId, off.vmId, { observed });
    await allArrive(of);
    expect(told(of)).toEqual([]);
    await pass(of, 9);
    expect(told(of)).toEqual(["told"]);
    await pass(of, 10);
    expect(await drainRows(cp, id)).toMatchObject([waits, { state: "moved" }]);
    await pass(of, 1);
    expect(await drainRows(cp, id)).toMatchObject([{ state: "moving" }, { state: "moved" }]);
    const shown = valueOf(await showHost(cp.deps, of.from));
    expect(shown.drain?.window).toMatchObject({ ...window, told: 1 });
    expect(shown.maintenance).toBeNull();
    await allArrive(of);
    await pass(of, 0);
    expect(await outcomeOf(cp, id)).toBe("empty");
    expect(told(of)).toEqual(["told"]);
  });

  test("leaves where it is what was not begun in it", async () => {
    const of = await aHostToEmpty(cp, { vms: 2, others: [2] });
    const { id } = await beginsToDrain(cp, of, { window: aWindow(), maxParallel: 1 });
    await pass(of, 21);
    const [first] = await movesFrom(cp, of);
    if (!first) throw new Error("nothing moves");
    await bringTo(cp, endsOf(of, first), { move: first }, "take_over");
    // It goes on for longer than that.
    await pass(of, 1);
    await bringTo(cp, endsOf(of, first), { move: first }, "ended");
    await pass(of, 0);
    const states = (await drainRows(cp, id)).map(({ state, reason }) => [state, reason]);
    expect(states).toEqual(
      expect.arrayContaining([
        ["moved", null],
        ["stays", "window_over"],
      ]),
    );
    expect(await outcomeOf(cp, id)).toBe("left");
    expect(told(of)).toEqual(["told"]);
  });

  test.each([
    [5, []],
    [9, ["told", "told: cancelled"]],
  ])("that is stopped after %s hours has told %j", async (hours, mails) => {
    const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
    const { id } = await beginsToDrain(cp, of, { window: aWindow() });
    await pass(of, hours);
    await activates(of);
    await pass(of, 0);
    expect(await outcomeOf(cp, id)).toBe("stopped");
    expect(told(of)).toEqual(mails);
    await pass(of, 16);
    expect(await movesFrom(cp, of)).toEqual([]);
    expect(told(of)).toEqual(mails);
  });

  test("is beside a maintenance that is planned for the host", async () => {
    const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
    await plans(cp, of.from, { startsAt: from(60), endsAt: from(62), noticeHours: 12 });
    const { id } = await beginsToDrain(cp, of, { window: aWindow() });
    await pass(of, 21);
    await allArrive(of);
    await pass(of, 0);
    expect(await outcomeOf(cp, id)).toBe("empty");
    expect(valueOf(await showHost(cp.deps, of.from)).maintenance).toMatchObject({
      window: { kind: "maintenance", begunAt: null },
    });
  });

  test("whose notice would be too short is refused, and of another time the hash is another", async () => {
    const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
    const soon = { startsAt: from(2), endsAt: from(4) };
    expect(await asksToDrain(cp, of, { window: soon })).toMatchObject({
      error: { code: "notice_too_short" },
    });
    const { hash } = valueOf(await asksToDrain(cp, of, { window: aWindow() }));
    const other = { ...aWindow(), endsAt: from(23) };
    expect(await asksToDrain(cp, of, { window: other, dryRun: false, hash })).toMatchObject({
      error: { code: "plan_changed" },
    });
  });
});
