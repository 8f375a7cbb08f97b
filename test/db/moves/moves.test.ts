import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DesiredVm } from "#core/contracts/agent/desired.ts";
import { followMove, followMoves } from "#commands/moves/follow-move.ts";
import { stopMove } from "#commands/moves/stop-move.ts";
import { tellHangingMoves } from "#commands/moves/tell-hanging-moves.ts";
import { recordUsage } from "#commands/usage/record-usage.ts";
import { showUsage } from "#commands/usage/show-usage.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { loadMove } from "#db/moves/moves.ts";
import { aSample } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  aMovableVm,
  beginShown,
  bringTo,
  hostSays,
  SHA,
  toldOf,
  type MovableVm,
} from "#test/harness/moves.ts";
import { hostSees, valueOf } from "#test/harness/world.ts";

/* 6b item 3: a move between two hosts, by what they say. What the hosts do is in host-agent/moves. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const moveOf = async (id: string) => {
  const kept = await loadMove(cp.deps.db, id);
  if (!kept) throw new Error("the move vanished");
  return kept.move;
};
const actionOf = async (id: string) =>
  (await cp.rows("select status, error_code from actions where id = $1", id))[0];
const ownerOf = async (vmId: string) =>
  (await cp.rows("select host_id, owner_epoch from vms where id = $1", vmId))[0];
/** Of each host: how much it has given away, and that is what is held there. */
const vmsAt = async (...hostIds: readonly string[]) =>
  Promise.all(
    hostIds.map(async (id) => {
      const [host] = await cp.rows("select allocated_vms from hosts where id = $1", id);
      const [held] = await cp.rows(
        "select count(*)::int as n from reservations where host_id = $1 and released_at is null",
        id,
      );
      expect(host?.["allocated_vms"]).toBe(held?.["n"]);
      return Number(host?.["allocated_vms"]);
    }),
  );

describe("a cold move of a VM that runs", () => {
  test("goes through its steps by the words of both ends, and changes its owner with the source's word alone", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    const { move, action } = begun;
    expect(move).toMatchObject({ step: "prepare", method: "cold", sourceEpoch: 1, epoch: 2 });
    expect(await vmsAt(vm.from, vm.to)).toEqual([1, 1]);
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({
      power: "running",
      ownerEpoch: 1,
      move: { role: "source", step: "prepare" },
    });
    const told = await toldOf(cp, vm.to, vm.vmId);
    expect(told).toMatchObject({ power: "off", ownerEpoch: 2, mayCreate: false });
    expect(told?.move?.key).toBe((await toldOf(cp, vm.from, vm.vmId))?.move?.key);

    await bringTo(cp, vm, begun, "copy");
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({ power: "off", ownerEpoch: 1 });
    await bringTo(cp, vm, begun, "release");
    expect(await ownerOf(vm.vmId)).toEqual({ host_id: vm.from, owner_epoch: 1 });

    await bringTo(cp, vm, begun, "take_over");
    expect(await ownerOf(vm.vmId)).toEqual({ host_id: vm.to, owner_epoch: 2 });
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({ power: "off", ownerEpoch: 1 });
    expect(await toldOf(cp, vm.to, vm.vmId)).toMatchObject({ power: "running", ownerEpoch: 2 });
    expect(await actionOf(action.id)).toMatchObject({ status: "running" });

    await bringTo(cp, vm, begun, "clean");
    expect(await actionOf(action.id)).toMatchObject({ status: "success" });
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({ presence: "absent", ownerEpoch: 1 });
    expect(await vmsAt(vm.from, vm.to)).toEqual([1, 1]);

    await bringTo(cp, vm, begun, "ended");
    expect(await toldOf(cp, vm.from, vm.vmId)).toBeUndefined();
    expect(await vmsAt(vm.from, vm.to)).toEqual([0, 1]);
    const ended = await moveOf(move.id);
    expect(ended).toMatchObject({ outcome: "moved", failure: null });
    expect(+(ended.takenOverAt ?? 0) - +(ended.stoppedAt ?? 0)).toBe(20_000);
    expect(await cp.rows("select sealed_key from moves where id = $1", move.id)).toEqual([
      { sealed_key: null },
    ]);
  });

  test("counts no word of a host for the other's part, nor of another step, nor of an end that it is not", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "copy");
    const of = { move: begun.move, vmId: vm.vmId };
    const released = { moves: [{ step: "release", done: "released" }] } as const;
    await hostSays(cp, vm.from, released, of);
    await hostSays(cp, vm.to, { moves: [{ step: "copy", done: "copied", sha256: SHA }] }, of);
    expect(await moveOf(begun.move.id)).toMatchObject({ step: "copy", sentSha256: null });
    await bringTo(cp, vm, begun, "release");
    await hostSays(cp, vm.to, released, of);
    await hostSays(cp, (await aMovableVm(cp)).to, released, of);
    expect(await ownerOf(vm.vmId)).toEqual({ host_id: vm.from, owner_epoch: 1 });
  });
});

describe("a live move of a VM that runs", () => {
  const released = { step: "copy", done: "released", pauseMs: 31 } as const;
  const arrived = { step: "copy", done: "arrived" } as const;
  const atCopy = async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm, "live");
    await bringTo(cp, vm, begun, "copy");
    return { vm, begun, of: { move: begun.move, vmId: vm.vmId } };
  };
  const wentOver = async ({ vm, begun }: Awaited<ReturnType<typeof atCopy>>) => {
    expect(await ownerOf(vm.vmId)).toEqual({ host_id: vm.to, owner_epoch: 2 });
    expect(await moveOf(begun.move.id)).toMatchObject({ step: "take_over", pauseMs: 31 });
    await bringTo(cp, vm, begun, "ended");
    expect(await moveOf(begun.move.id)).toMatchObject({ outcome: "moved" });
    expect(await vmsAt(vm.from, vm.to)).toEqual([0, 1]);
  };

  test("leaves it running at its source, in the move's hands, until both ends have said that it went over", async () => {
    const state = await atCopy();
    const { vm, begun, of } = state;
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({ power: "running", ownerEpoch: 1 });
    expect(await toldOf(cp, vm.to, vm.vmId)).toMatchObject({ power: "off", ownerEpoch: 2 });
    await hostSays(cp, vm.from, { moves: [released] }, of);
    expect(await ownerOf(vm.vmId)).toEqual({ host_id: vm.from, owner_epoch: 1 });
    expect(await moveOf(begun.move.id)).toMatchObject({ step: "copy", hasLeft: true });
    await hostSays(cp, vm.to, { moves: [arrived] }, of);
    await wentOver(state);
  });

  test("changes its owner by none of them alone, whichever comes first, and however often", async () => {
    const state = await atCopy();
    const { vm, begun, of } = state;
    for (let twice = 0; twice < 2; twice++) await hostSays(cp, vm.to, { moves: [arrived] }, of);
    // Neither end can say the other's word.
    await hostSays(cp, vm.to, { moves: [released] }, of);
    expect(await ownerOf(vm.vmId)).toEqual({ host_id: vm.from, owner_epoch: 1 });
    expect(await moveOf(begun.move.id)).toMatchObject({ step: "copy", hasLeft: false });
    await hostSays(cp, vm.from, { moves: [released] }, of);
    await wentOver(state);
  });

  test("that was given up and had gone over all the same goes there, with the word that was heard before and the one that comes after", async () => {
    const state = await atCopy();
    const { vm, begun, of } = state;
    await hostSays(cp, vm.to, { moves: [arrived] }, of);
    cp.clock.advance(16 * 60_000);
    expect(await followMove(cp.deps, vm.vmId)).toBe("went_on");
    expect(await moveOf(begun.move.id)).toMatchObject({ step: "hold" });
    await hostSays(cp, vm.from, { moves: [{ ...released, step: "hold" }] }, of);
    await wentOver(state);
  });

  test("that was given up waits for the guest to arrive once its source has let go of it, and is not held", async () => {
    const state = await atCopy();
    const { vm, begun, of } = state;
    await hostSays(cp, vm.from, { moves: [released] }, of);
    cp.clock.advance(16 * 60_000);
    await followMove(cp.deps, vm.vmId);
    await hostSays(cp, vm.from, { moves: [{ step: "hold", done: "held" }] }, of);
    expect(await moveOf(begun.move.id)).toMatchObject({ step: "hold" });
    await hostSays(cp, vm.to, { moves: [{ ...arrived, step: "hold" }] }, of);
    await wentOver(state);
  });
});

describe("before the release, what fails leads back to the source", () => {
  test("a host that refuses its part for good", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "copy");
    const error = { code: "out_of_disk", detail: "no room", final: true };
    const said = { moves: [{ step: "copy", error }] } as const;
    await hostSays(cp, vm.to, said, { move: begun.move, vmId: vm.vmId });
    expect(await moveOf(begun.move.id)).toMatchObject({
      step: "hold",
      failure: { code: "destination_refused", detail: "out_of_disk: no room" },
    });
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({
      power: "off",
      move: { step: "hold" },
    });
    await bringTo(cp, vm, begun, "drop");
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({ power: "running", ownerEpoch: 1 });
    expect(await toldOf(cp, vm.to, vm.vmId)).toMatchObject({ presence: "absent", ownerEpoch: 2 });
    expect(await actionOf(begun.action.id)).toEqual({ status: "error", error_code: "not_moved" });
    await bringTo(cp, vm, begun, "ended");
    expect(await vmsAt(vm.from, vm.to)).toEqual([1, 0]);
    expect(await ownerOf(vm.vmId)).toEqual({ host_id: vm.from, owner_epoch: 1 });
    // The next attempt has an epoch that no copy ever had.
    await hostSees(cp, vm.from, vm.vmId, {});
    expect((await beginShown(cp, vm)).move).toMatchObject({ sourceEpoch: 1, epoch: 3 });
  });

  test("an error that passes is no refusal, and by itself keeps no copy alive past its time", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "copy");
    const of = { move: begun.move, vmId: vm.vmId };
    const error = { code: "driver_failed", detail: "the line is cut", final: false };
    cp.clock.advance(10 * 60_000);
    await hostSays(cp, vm.from, { moves: [{ step: "copy", error }] }, of);
    expect(await moveOf(begun.move.id)).toMatchObject({ step: "copy" });
    await hostSays(cp, vm.from, { moves: [{ step: "copy", bytes: "5" }] }, of);
    cp.clock.advance(10 * 60_000);
    expect(await followMove(cp.deps, vm.vmId)).toBe("waits");
    await hostSays(cp, vm.from, { moves: [{ step: "copy", error }] }, of);
    // The other end waits, and says so again and again: that brings nothing forward.
    await hostSays(cp, vm.to, { moves: [{ step: "copy" }] }, of);
    cp.clock.advance(6 * 60_000);
    expect(await followMove(cp.deps, vm.vmId)).toBe("went_on");
    expect(await moveOf(begun.move.id)).toMatchObject({
      step: "hold",
      failure: { code: "not_copied_in_time" },
    });
  });

  test("a checksum that differs", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "copy");
    const of = { move: begun.move, vmId: vm.vmId };
    const copied = (sha256: string) =>
      ({ moves: [{ step: "copy", done: "copied", sha256 }] }) as const;
    await hostSays(cp, vm.from, copied(SHA), of);
    await hostSays(cp, vm.to, copied("cd".repeat(32)), of);
    expect(await moveOf(begun.move.id)).toMatchObject({
      step: "hold",
      failure: { code: "checksum_differs" },
    });
  });
});

describe("staff stop a move", () => {
  const stop = async (vm: MovableVm, moveId: string) => {
    const asked = { who: vm.staff, moveId, reason: "not today" };
    const shown = await stopMove(cp.deps, { ...asked, dryRun: true });
    return shown.ok
      ? stopMove(cp.deps, { ...asked, dryRun: false, hash: shown.value.hash })
      : shown;
  };

  test("before the release, and its VM stays where it is; a repeat changes nothing", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "copy");
    expect(valueOf(await stop(vm, begun.move.id)).done).toMatchObject({
      step: "hold",
      failure: { code: "stopped" },
    });
    expect(valueOf(await stop(vm, begun.move.id)).effects).toEqual([
      "nothing: it goes back already",
    ]);
    await bringTo(cp, vm, begun, "ended");
    expect(await stop(vm, begun.move.id)).toMatchObject({ error: { code: "move_not_stoppable" } });
    expect(await ownerOf(vm.vmId)).toEqual({ host_id: vm.from, owner_epoch: 1 });
  });

  test("not after it", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "take_over");
    expect(await stop(vm, begun.move.id)).toMatchObject({ error: { code: "move_not_stoppable" } });
  });
});

describe("a move that waits for a host's word", () => {
  const findings = (vmId: string) =>
    cp.rows(
      "select host_id, detail, ended_at is null as open from findings where kind = 'move_hangs' and vm_id = $1",
      vmId,
    );

  test("is told at that host after a quarter of an hour, once, until it goes on", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "take_over");
    cp.clock.advance(14 * 60_000);
    await tellHangingMoves(cp.deps);
    expect(await findings(vm.vmId)).toEqual([]);
    cp.clock.advance(60_000);
    await tellHangingMoves(cp.deps);
    await tellHangingMoves(cp.deps);
    const detail = `move ${begun.move.id} waits for this host at take_over`;
    expect(await findings(vm.vmId)).toEqual([{ host_id: vm.to, detail, open: true }]);
    await bringTo(cp, vm, begun, "clean");
    await tellHangingMoves(cp.deps);
    expect(await findings(vm.vmId)).toEqual([{ host_id: vm.to, detail, open: false }]);
  });

  test("for one that its new host has lost: the VM is free for a repair, and the source's copy is kept", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "take_over");
    const error = { code: "vm_missing", detail: "no disk" } as const;
    await hostSees(cp, vm.to, vm.vmId, { observed: null, settled: false, error });
    expect(await actionOf(begun.action.id)).toEqual({ status: "error", error_code: "vm_lost" });
    expect(await moveOf(begun.move.id)).toMatchObject({ step: "take_over" });
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({ presence: "present", power: "off" });
    // Somebody has repaired it: nothing rings for that, and the sweep sees it.
    await hostSees(cp, vm.to, vm.vmId, {});
    cp.clock.advance(60_000);
    expect(await followMoves(cp.deps)).toMatchObject({ failed: 0 });
    expect(await moveOf(begun.move.id)).toMatchObject({ step: "clean" });
  });
});

describe("usage of a VM that moved", () => {
  const measures = async (hostId: string, vmId: string, from: number, to: number, boot: string) => {
    const at = (minutes: number) => new Date(+cp.clock.now() + minutes * 60_000).toISOString();
    const times = { from: at(from), to: at(to), seq: 1000 + from };
    const samples = [aSample({ vmId, bootEpoch: boot, ...times })];
    const { stored, refused } = await recordUsage(cp.deps, hostId, { samples });
    return stored === 1 ? "stored" : refused[0]?.code;
  };

  test("is taken from whoever owned it then, however late it comes, and no time twice", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    expect(await measures(vm.to, vm.vmId, -9, -8, "b")).toBe("vm_not_here");
    await bringTo(cp, vm, begun, "clean");
    cp.clock.advance(10 * 60_000);
    // Released ten minutes ago: the new owner's come first, and then what lay in the old one's spool.
    expect(await measures(vm.to, vm.vmId, -8, -7, "b")).toBe("stored");
    expect(await measures(vm.from, vm.vmId, -13, -12, "a")).toBe("stored");
    expect(await measures(vm.from, vm.vmId, -5, -4, "a")).toBe("not_owned_then");
    expect(await measures(vm.to, vm.vmId, -15, -14, "b")).toBe("not_owned_then");
    expect(await measures(vm.to, vm.vmId, -13, -8.5, "b")).toBe("overlaps");
    await bringTo(cp, vm, begun, "ended");
    expect(await measures(vm.from, vm.vmId, -14, -13, "a")).toBe("stored");
  });

  test("says of when nobody could measure it, and no longer of what comes late", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "clean");
    cp.clock.advance(10 * 60_000);
    const minutes = (at: Date) => (+at - +cp.clock.now()) / 60_000;
    const unmeasured = async () => {
      const asked = { vmId: vm.vmId, from: undefined, to: undefined, by: "hour" } as const;
      const usage = valueOf(await showUsage(cp.deps, vm.world.buyer, asked));
      return usage.unmeasured.map(({ from, to }) => [minutes(from), minutes(to)]);
    };
    // Released ten minutes ago. A hole that no move lies in is none of these: somebody's samples are on their way.
    expect(await measures(vm.to, vm.vmId, -8, -7, "b")).toBe("stored");
    expect(await measures(vm.to, vm.vmId, -4, -3, "b")).toBe("stored");
    expect(await unmeasured()).toEqual([]);
    expect(await measures(vm.from, vm.vmId, -14, -13, "a")).toBe("stored");
    expect(await unmeasured()).toEqual([[-13, -8]]);
    expect(await measures(vm.from, vm.vmId, -13, -10.5, "a")).toBe("stored");
    expect(await unmeasured()).toEqual([[-10.5, -8]]);
  });
});

describe("a delete of a VM that moves", () => {
  test("before the release ends the move at its source, and then goes there", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "copy");
    valueOf(await requestAction(cp.deps, { who: vm.world.buyer, vmId: vm.vmId, type: "delete" }));
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({ presence: "present", power: "off" });
    expect(await followMove(cp.deps, vm.vmId)).toBe("went_on");
    await bringTo(cp, vm, begun, "drop");
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({ presence: "absent", ownerEpoch: 1 });
    await bringTo(cp, vm, begun, "ended");
    await hostSees(cp, vm.from, vm.vmId, { observed: null });
    expect(
      await cp.rows("select deleted_at is not null as gone from vms where id = $1", vm.vmId),
    ).toEqual([{ gone: true }]);
    expect(await vmsAt(vm.from, vm.to)).toEqual([0, 0]);
  });

  test("after it goes at its destination, and the source's copy goes too", async () => {
    const vm = await aMovableVm(cp);
    const begun = await beginShown(cp, vm);
    await bringTo(cp, vm, begun, "take_over");
    valueOf(await requestAction(cp.deps, { who: vm.world.buyer, vmId: vm.vmId, type: "delete" }));
    await followMove(cp.deps, vm.vmId);
    expect(await toldOf(cp, vm.to, vm.vmId)).toMatchObject({ presence: "absent", ownerEpoch: 2 });
    expect(await toldOf(cp, vm.from, vm.vmId)).toMatchObject({ presence: "absent", ownerEpoch: 1 });
    await hostSees(cp, vm.to, vm.vmId, { observed: null });
    // The source must be able to read what is asked of it.
    expect(DesiredVm.parse(await toldOf(cp, vm.from, vm.vmId))).toMatchObject({
      presence: "absent",
    });
    await bringTo(cp, vm, begun, "ended");
    await hostSees(cp, vm.to, vm.vmId, { observed: null });
    expect(
      await cp.rows("select deleted_at is not null as gone from vms where id = $1", vm.vmId),
    ).toEqual([{ gone: true }]);
    expect(await vmsAt(vm.from, vm.to)).toEqual([0, 0]);
  });
});
