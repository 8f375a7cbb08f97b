import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import type { EventName } from "#core/contracts/events.ts";
import type { MoveMethod, MoveStep } from "#core/moves/move.ts";
import { beginMove, showMove, type BegunMove } from "#commands/moves/begin-move.ts";
import { followMove } from "#commands/moves/follow-move.ts";
import { toForced } from "#commands/moves/plan-move.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { sampled } from "#test/harness/extent.ts";
import {
  aMovableVm,
  beginShown,
  bringTo,
  DISK,
  hostSays,
  SHA,
  type MovableVm,
} from "#test/harness/moves.ts";
import { hostSees, valueOf } from "#test/harness/world.ts";

/* 6b item 3: a move that fails at any step of ours, and is tried again, comes to the same. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const lines = (...patterns: readonly RegExp[]) =>
  patterns.map((line) => expect.stringMatching(line));

it("a move is begun once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const vm = await aMovableVm(cp);
      const asked = { vmId: vm.vmId, hostId: vm.to, method: "cold" } as const;
      const hash = toForced(valueOf(await showMove(cp.deps, asked)))?.hash;
      return { ...asked, who: vm.staff, reason: "its host is worn out", hash };
    },
    act: (asked) => beginMove(cp.deps, asked),
    emits: ["move.began.v1", "vm.change_requested.v1", "vm.change_requested.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(
        /^moves .*"step":"prepare"/,
        /^actions .*"type":"migrate"/,
        /^reservations .*"by_move":true/,
        /^hosts .*"allocated_vms":1/,
      ),
    ),
  );
});

type State = MovableVm & Readonly<{ begun: BegunMove; of: { move: { id: string }; vmId: string } }>;
const at = async (step: MoveStep, method: MoveMethod = "cold"): Promise<State> => {
  const vm = await aMovableVm(cp);
  const begun = await beginShown(cp, vm, method);
  await bringTo(cp, vm, begun, step);
  return { ...vm, begun, of: { move: begun.move, vmId: vm.vmId } };
};
const BOTH = ["vm.change_requested.v1", "vm.change_requested.v1"] as const;
const released = { step: "copy", done: "released", pauseMs: 31 } as const;
const copied = { step: "copy", done: "copied", sha256: SHA } as const;

/** Of a step: the word that ends it, whoever says it, and what is then so. */
const WORDS: readonly Readonly<{
  says: string;
  arrange: () => Promise<State>;
  act: (state: State) => Promise<unknown>;
  emits: readonly EventName[];
  leaves: readonly RegExp[];
}>[] = [
  {
    says: "prepare: its source has looked",
    arrange: () => at("prepare"),
    act: ({ from, of }) => hostSays(cp, from, { moves: [{ done: "ready", disk: DISK }] }, of),
    emits: BOTH,
    leaves: [/^moves .*"export_bytes":1073741824/],
  },
  {
    says: "prepare: its destination is ready",
    arrange: async () => {
      const state = await at("prepare");
      const ready = { moves: [{ done: "ready", disk: DISK }] } as const;
      await hostSays(cp, state.from, ready, state.of);
      return state;
    },
    act: ({ to, of }) => hostSays(cp, to, { moves: [{ done: "ready" }] }, of),
    emits: BOTH,
    leaves: [/^moves .*"step":"copy"/],
  },
  {
    says: "copy: both have the same disk",
    arrange: async () => {
      const state = await at("copy");
      await hostSays(cp, state.from, { moves: [copied] }, state.of);
      return state;
    },
    act: ({ to, of }) => hostSays(cp, to, { moves: [copied] }, of),
    emits: BOTH,
    leaves: [/^moves .*"step":"release"/],
  },
  {
    says: "copy, live: its source has let go of it",
    arrange: () => at("copy", "live"),
    act: ({ from, of }) => hostSays(cp, from, { moves: [released] }, of),
    emits: [],
    leaves: [/^moves .*"has_left":true/, /^vms .*"owner_epoch":1/],
  },
  {
    says: "copy, live: its guest has arrived",
    arrange: async () => {
      const state = await at("copy", "live");
      await hostSays(cp, state.from, { moves: [released] }, state.of);
      return state;
    },
    act: ({ to, of }) => hostSays(cp, to, { moves: [{ step: "copy", done: "arrived" }] }, of),
    emits: ["move.released.v1", ...BOTH],
    leaves: [/^moves .*"step":"take_over"/, /^vms .*"owner_epoch":2/],
  },
  {
    says: "release: its source gives it away",
    arrange: () => at("release"),
    act: ({ from, of }) =>
      hostSays(cp, from, { moves: [{ step: "release", done: "released" }] }, of),
    emits: ["move.released.v1", ...BOTH],
    leaves: [
      /^moves .*"step":"take_over"/,
      /^vms .*"owner_epoch":2/,
      /^reservations .*"by_move":true/,
    ],
  },
  {
    says: "take_over: its destination shows it",
    arrange: () => at("take_over"),
    act: ({ to, vmId }) => hostSees(cp, to, vmId, {}),
    emits: ["action.finished.v1", ...BOTH],
    leaves: [/^moves .*"step":"clean"/, /^actions .*"type":"migrate"/],
  },
  {
    says: "clean: its source has put its copy away",
    arrange: () => at("clean"),
    act: ({ from, of, begun }) =>
      hostSays(cp, from, { vm: { ownerEpoch: begun.move.sourceEpoch, observed: null } }, of),
    emits: ["move.ended.v1", ...BOTH],
    leaves: [/^moves .*"outcome":"moved"/, /^hosts .*"allocated_vms":0/],
  },
  {
    says: "copy: its time is over",
    arrange: async () => {
      const state = await at("copy");
      cp.clock.advance(16 * 60_000);
      return state;
    },
    act: ({ vmId }) => followMove(cp.deps, vmId),
    emits: ["move.turned_back.v1", ...BOTH],
    leaves: [/^moves .*"failure_code":"not_copied_in_time"/],
  },
  {
    says: "hold: its source has it for itself again",
    arrange: () => turnedBack("hold"),
    act: ({ from, of }) => hostSays(cp, from, { moves: [{ step: "hold", done: "held" }] }, of),
    emits: ["action.finished.v1", ...BOTH],
    leaves: [/^moves .*"step":"drop"/, /^actions .*"not_moved"/],
  },
  {
    says: "drop: its destination has removed what it had",
    arrange: () => turnedBack("drop"),
    act: ({ to, of, begun }) =>
      hostSays(cp, to, { vm: { ownerEpoch: begun.move.epoch, observed: null } }, of),
    emits: ["move.ended.v1", ...BOTH],
    leaves: [/^moves .*"outcome":"turned_back"/, /^vms .*"owner_epoch":1/],
  },
];

async function turnedBack(step: "hold" | "drop"): Promise<State> {
  const state = await at("copy");
  const error = { code: "out_of_disk", detail: "no room", final: true };
  await hostSays(cp, state.to, { moves: [{ step: "copy", error }] }, state.of);
  await bringTo(cp, state, state.begun, step);
  return state;
}

describe("a word that is said again, and one that we fail at anywhere, is heard once", () => {
  // Of the short form, two that are drawn.
  test.each(sampled("words of a move", WORDS, 2))(
    "$says",
    async ({ arrange, act, emits, leaves }) => {
      const each = await runEachStep(cp, { arrange, act, emits });
      expect(differencesOf(each)).toEqual([]);
      expect(each.undisturbed).toEqual(expect.arrayContaining(lines(...leaves)));
    },
  );
});
