import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { activateHost, cordonHost } from "#commands/hosts/move-host.ts";
import { followDrain, followDrains } from "#commands/moves/follow-drain.ts";
import { followMove } from "#commands/moves/follow-move.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { MOST_TRIES } from "#core/moves/drain.ts";
import type { Move } from "#core/moves/move.ts";
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
import { diceFor, drawnBy, LONG } from "#test/harness/extent.ts";
import { bringTo, hostSays } from "#test/harness/moves.ts";
import { hostSees, sendOrder, valueOf } from "#test/harness/world.ts";

/* 6b item 4: a host is emptied, by what the hosts at both ends say. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const arrives = (of: HostToEmpty, move: Move) => bringTo(cp, endsOf(of, move), { move }, "clean");
const ends = (of: HostToEmpty, move: Move) => bringTo(cp, endsOf(of, move), { move }, "ended");
/** In the order of the alphabet. */
const statesOf = async (id: string) =>
  (await drainRows(cp, id)).map((row) => String(row["state"])).toSorted((a, b) => (a < b ? -1 : 1));
const stateOf = async (hostId: string) =>
  (await cp.rows("select state from hosts where id = $1", hostId))[0]?.["state"];
const movesBack = async (of: HostToEmpty, command: typeof activateHost) => {
  const asked = { who: of.staff, hostId: of.from, reason: "it is quiet again" };
  const { hash } = valueOf(await command(cp.deps, { ...asked, dryRun: true }));
  valueOf(await command(cp.deps, { ...asked, dryRun: false, hash }));
};

describe("what a dry run shows", () => {
  test("is each VM with where it goes and how, as if those before it were there already", async () => {
    const of = await aHostToEmpty(cp, { vms: 3, others: [2, 1] });
    const shown = valueOf(await asksToDrain(cp, of, { method: "auto" }));
    expect(shown.vms.map(({ to }) => to?.method)).toEqual(["live", "live", "live"]);
    expect(shown.vms.map(({ vmId }) => vmId)).toEqual(of.vmIds);
    const goTo = (hostId?: string) => shown.vms.filter(({ to }) => to?.host.id === hostId).length;
    expect(of.others.map(goTo)).toEqual([2, 1]);
    expect(shown.vms.map(({ why }) => why)).toEqual([null, null, null]);
    expect(shown.done).toBe(false);
    expect(await stateOf(of.from)).toBe("active");
    expect(await movesFrom(cp, of)).toEqual([]);
  });

  test("says of each that cannot move what stands against it, and whether that passes", async () => {
    const of = await aHostToEmpty(cp, { vms: 2, others: [1] });
    await cp.rows("update vms set lost_at = $2 where id = $1", of.vmIds[0], cp.clock.now());
    const shown = valueOf(await asksToDrain(cp, of));
    expect(shown.vms.map(({ to, why }) => [to?.method, why?.reason, why?.passes])).toEqual([
      [undefined, "vm", false],
      ["cold", undefined, undefined],
    ]);
  });

  test("of another plan the hash is another, and nothing is done", async () => {
    const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
    const { hash } = valueOf(await asksToDrain(cp, of));
    const other = await asksToDrain(cp, of, { dryRun: false, hash, maxParallel: 5 });
    expect(other).toMatchObject({ error: { code: "plan_changed" } });
    await cp.rows("update vms set lost_at = $2 where id = $1", of.vmIds[0], cp.clock.now());
    const later = await asksToDrain(cp, of, { dryRun: false, hash });
    expect(later).toMatchObject({ error: { code: "plan_changed" } });
    expect(await stateOf(of.from)).toBe("active");
  });
});

describe("a drain", () => {
  test("moves so many at once, and the next as soon as one has arrived, until the host is empty", async () => {
    const of = await aHostToEmpty(cp, { vms: 3, others: [2, 2] });
    const { id } = await beginsToDrain(cp, of);
    expect(await stateOf(of.from)).toBe("draining");
    // Its bell is heard.
    await cp.pump();
    expect(await statesOf(id)).toEqual(["moving", "moving", "waiting"]);
    const [first] = await movesFrom(cp, of);
    if (!first) throw new Error("nothing moves");
    await arrives(of, first);
    await cp.pump();
    expect(await statesOf(id)).toEqual(["moved", "moving", "moving"]);
    expect(await followDrain(cp.deps, id)).toBe("waits");
    for (const move of await movesFrom(cp, of)) await ends(of, move);
    await cp.pump();
    expect(await statesOf(id)).toEqual(["moved", "moved", "moved"]);
    expect(await outcomeOf(cp, id)).toBe("empty");
    expect(await stateOf(of.from)).toBe("draining");
    expect(await cp.rows("select id from vms where host_id = $1", of.from)).toEqual([]);
    expect(await followDrain(cp.deps, id)).toBe("unknown");
  });

  test("of which two workers have a round at once begins no VM twice, and no more than may", async () => {
    const of = await aHostToEmpty(cp, { vms: 3, others: [3] });
    const { id } = await beginsToDrain(cp, of);
    await Promise.all([followDrain(cp.deps, id), followDrain(cp.deps, id), followDrains(cp.deps)]);
    expect(await statesOf(id)).toEqual(["moving", "moving", "waiting"]);
    expect(await movesFrom(cp, of)).toHaveLength(2);
  });

  test("that goes on already is not begun again", async () => {
    const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
    const { id } = await beginsToDrain(cp, of);
    const { id: same, plan } = await beginsToDrain(cp, of);
    expect(same).toBe(id);
    expect(plan.effects).toEqual(["nothing: it is drained already"]);
  });

  test("of a host in maintenance is refused", async () => {
    const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
    await cp.rows(
      "update hosts set state = 'maintenance', maintenance_until = $2 where id = $1",
      of.from,
      new Date(+cp.clock.now() + 3_600_000),
    );
    expect(await asksToDrain(cp, of)).toMatchObject({ error: { code: "host_wrong_state" } });
  });

  test.each([
    ["activated", activateHost],
    ["cordoned", cordonHost],
  ] as const)("of a host that is %s stops between VMs: what moves goes on", async (_, command) => {
    const of = await aHostToEmpty(cp, { vms: 3, others: [3] });
    const { id } = await beginsToDrain(cp, of);
    await followDrain(cp.deps, id);
    const moving = await movesFrom(cp, of);
    await movesBack(of, command);
    for (const move of moving) await arrives(of, move);
    expect(await followDrain(cp.deps, id)).toBe("ended");
    expect(await statesOf(id)).toEqual(["left_out", "moved", "moved"]);
    expect(await outcomeOf(cp, id)).toBe("stopped");
    expect(await cp.rows("select id from moves where source_host_id = $1", of.from)).toHaveLength(
      2,
    );
    // It may be emptied again, of what is left.
    await allSpeak(cp, of);
    const again = await beginsToDrain(cp, of);
    expect(again.plan.vms).toHaveLength(1);
  });

  test("that nobody looked at since the host was activated is ended by the next one", async () => {
    const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
    const { id } = await beginsToDrain(cp, of);
    await movesBack(of, activateHost);
    const next = await beginsToDrain(cp, of);
    expect(next.id).not.toBe(id);
    expect([await outcomeOf(cp, id), await outcomeOf(cp, next.id)]).toEqual(["stopped", null]);
  });

  test("waits for what was ordered before, and takes it up too", async () => {
    const of = await aHostToEmpty(cp, { vms: 0, others: [1] });
    const placed = valueOf(await sendOrder(cp, of.world));
    const { id } = await beginsToDrain(cp, of);
    expect(await followDrain(cp.deps, id)).toBe("waits");
    await cp.stripe.pay(placed.checkoutUrl);
    await cp.pump();
    expect(await drainRows(cp, id)).toMatchObject([{ state: "waiting", reason: "running_action" }]);
  });
});

describe("a VM that cannot move now", () => {
  const minutesLater = async (of: HostToEmpty, id: string) => {
    cp.clock.advance(5 * 60_000);
    await allSpeak(cp, of);
    return followDrain(cp.deps, id);
  };

  test("is tried again, and moves when it can; others go before it", async () => {
    const of = await aHostToEmpty(cp, { vms: 2, others: [2] });
    const [busy = ""] = of.vmIds;
    const asked = { who: of.world.buyer, vmId: busy, type: "stop" } as const;
    valueOf(await requestAction(cp.deps, asked));
    const { id } = await beginsToDrain(cp, of, { maxParallel: 1 });
    expect(await followDrain(cp.deps, id)).toBe("waits");
    expect(await drainRows(cp, id)).toMatchObject([
      { state: "waiting", reason: "running_action", tries: 1 },
      { state: "moving" },
    ]);
    for (const move of await movesFrom(cp, of)) await ends(of, move);
    await hostSees(cp, of.from, busy, { observed: { power: "off", bootEpoch: null } });
    await minutesLater(of, id);
    expect(await drainRows(cp, id)).toMatchObject([
      { state: "moving", reason: null },
      { state: "moved" },
    ]);
  });

  test("stays with its reason after an hour, and the drain ends with it", async () => {
    const of = await aHostToEmpty(cp, { vms: 1, others: [0] });
    const { id } = await beginsToDrain(cp, of);
    await followDrain(cp.deps, id);
    for (let tries = 2; tries < MOST_TRIES; tries++)
      expect(await minutesLater(of, id)).toBe("waits");
    expect(await minutesLater(of, id)).toBe("ended");
    const detail = "destination_host: no host of its location can take it now";
    expect(await drainRows(cp, id)).toMatchObject([
      { state: "stays", reason: "no_destination", detail },
    ]);
    expect(await outcomeOf(cp, id)).toBe("left");
  });

  test("for good stays at once", async () => {
    const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
    await cp.rows("update vms set lost_at = $2 where id = $1", of.vmIds[0], cp.clock.now());
    const { id } = await beginsToDrain(cp, of);
    expect(await followDrain(cp.deps, id)).toBe("ended");
    expect(await drainRows(cp, id)).toMatchObject([{ state: "stays", reason: "vm", tries: 0 }]);
  });

  test("as its new host has lost it keeps no other from its turn", async () => {
    const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
    const { id } = await beginsToDrain(cp, of);
    await followDrain(cp.deps, id);
    const [move] = await movesFrom(cp, of);
    if (!move) throw new Error("nothing moves");
    await bringTo(cp, endsOf(of, move), { move }, "take_over");
    const error = { code: "vm_missing", detail: "no disk" } as const;
    await hostSees(cp, move.destinationHostId, move.vmId, {
      observed: null,
      settled: false,
      error,
    });
    await cp.pump();
    expect(await drainRows(cp, id)).toMatchObject([{ state: "stays", reason: "vm_lost" }]);
  });
});

/** What befalls a VM of the large host. */
type Fate = "moves" | "refused" | "lost" | "deleted_before" | "deleted_meanwhile" | "busy" | "huge";
const ENDS: Readonly<Record<Fate, readonly [state: string, reason: string | null]>> = {
  moves: ["moved", null],
  refused: ["stays", "destination_refused"],
  lost: ["stays", "vm_lost"],
  deleted_before: ["gone", null],
  deleted_meanwhile: ["gone", null],
  busy: ["stays", "running_action"],
  huge: ["stays", "no_destination"],
};
const FATES: readonly Fate[] = [
  "moves",
  "refused",
  "lost",
  "deleted_before",
  "deleted_meanwhile",
  "busy",
  "huge",
];

describe("a drain in which much fails", () => {
  const size = LONG ? 50 : FATES.length + 1;

  test(`of ${size} VMs ends, with a reason for each that stays (${drawnBy})`, async () => {
    const of = await aHostToEmpty(cp, { vms: size, others: [size, Math.ceil(size / 3)] });
    const dice = diceFor("drains");
    // Each fate once, and of the rest half move.
    const drawn = of.vmIds.map((_, n): Fate => FATES[n] ?? dice.pick(["moves", dice.pick(FATES)]));
    const fates = new Map(dice.shuffled(drawn).map((fate, n) => [of.vmIds[n] ?? "", fate]));
    const having = (fate: Fate) => of.vmIds.filter((vmId) => fates.get(vmId) === fate);
    for (const vmId of having("huge"))
      await cp.rows("update vms set memory_mib = 1048576 where id = $1", vmId);
    for (const vmId of having("busy"))
      valueOf(await requestAction(cp.deps, { who: of.world.buyer, vmId, type: "stop" }));
    const { id } = await beginsToDrain(cp, of, { maxParallel: 4 });
    const removes = async (vmId: string) =>
      valueOf(await requestAction(cp.deps, { who: of.world.buyer, vmId, type: "delete" }));
    await followDrain(cp.deps, id);
    for (const vmId of having("deleted_before")) await removes(vmId);

    let most = 0;
    for (let rounds = 0; (await outcomeOf(cp, id)) === null; rounds++) {
      if (rounds > 100)
        throw new Error(`it does not end: ${JSON.stringify(await drainRows(cp, id))}`);
      await allSpeak(cp, of);
      await followDrain(cp.deps, id);
      const going = await movesFrom(cp, of);
      most = Math.max(most, going.length);
      for (const move of going) await befalls(of, move, fates.get(move.vmId) ?? "moves", removes);
      cp.clock.advance(5 * 60_000);
    }
    const rows = await drainRows(cp, id);
    expect(rows.map((row) => [row["vm_id"], row["state"], row["reason"]])).toEqual(
      of.vmIds.map((vmId) => [vmId, ...ENDS[fates.get(vmId) ?? "moves"]]),
    );
    expect(most).toBe(4);
    expect(await outcomeOf(cp, id)).toBe("left");
    const twice =
      "select vm_id from moves where source_host_id = $1 group by 1 having count(*) > 1";
    expect(await cp.rows(twice, of.from)).toEqual([]);
  });

  async function befalls(
    of: HostToEmpty,
    move: Move,
    fate: Fate,
    removes: (vmId: string) => Promise<unknown>,
  ): Promise<void> {
    const vm = endsOf(of, move);
    if (fate === "refused") {
      await bringTo(cp, vm, { move }, "copy");
      const error = { code: "out_of_disk", detail: "no room", final: true };
      await hostSays(cp, vm.to, { moves: [{ step: "copy", error }] }, { move, vmId: vm.vmId });
    } else if (fate === "lost") {
      const error = { code: "vm_missing", detail: "no disk" } as const;
      await hostSees(cp, of.from, vm.vmId, { observed: null, settled: false, error });
      await followMove(cp.deps, vm.vmId);
    } else if (fate === "deleted_meanwhile") {
      await removes(vm.vmId);
      await followMove(cp.deps, vm.vmId);
    }
    await bringTo(cp, vm, { move }, "ended");
  }
});
