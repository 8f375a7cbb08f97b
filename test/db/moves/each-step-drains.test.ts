import { afterEach, beforeEach, expect } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import { followDrain } from "#commands/moves/follow-drain.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  aHostToEmpty,
  asksToDrain,
  beginsToDrain,
  endsOf,
  movesFrom,
} from "#test/harness/drains.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { bringTo } from "#test/harness/moves.ts";
import { valueOf } from "#test/harness/world.ts";

/* 6b item 4: each step of a drain run twice and failed at, with the world looked at afterwards. */

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const lines = (...patterns: readonly RegExp[]) =>
  patterns.map((line) => expect.stringMatching(line));

it("beginning what a dry run showed ends as one that was begun", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
      return { of, hash: valueOf(await asksToDrain(cp, of)).hash };
    },
    act: ({ of, hash }) => asksToDrain(cp, of, { dryRun: false, hash }),
    emits: ["host.state_changed.v1", "drain.began.v1", "drain.fell_due.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^drains .*"cold"/, /^hosts .*"draining"/)),
  );
});

it("a round begins the move of a VM once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () =>
      (await beginsToDrain(cp, await aHostToEmpty(cp, { vms: 1, others: [1] }), { maxParallel: 1 }))
        .id,
    act: (id) => followDrain(cp.deps, id),
    emits: ["move.began.v1", "vm.change_requested.v1", "vm.change_requested.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^drain_vms .*"moving"/, /^moves .*"prepare"/)),
  );
});

it("a move that has ended is noted once, and the drain with it", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const of = await aHostToEmpty(cp, { vms: 1, others: [1] });
      const { id } = await beginsToDrain(cp, of);
      await followDrain(cp.deps, id);
      for (const move of await movesFrom(cp, of))
        await bringTo(cp, endsOf(of, move), { move }, "clean");
      return id;
    },
    act: (id) => followDrain(cp.deps, id),
    emits: ["drain.ended.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^drain_vms .*"moved"/, /^drains .*"empty"/)),
  );
});
