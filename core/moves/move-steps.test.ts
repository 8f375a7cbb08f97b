import { describe, expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import { A_DISK, aMove } from "#test/move-builders.ts";
import { MOVE_STEPS, type Move } from "./move.ts";
import { pauseOfMove, progressOfMove, stepsOfMove } from "./move-steps.ts";
import { waitsForOfMove } from "./waits-for-move.ts";

/* 6b item 3: how far a move is, as its action shows it, and what it waits for. */

const [T1, T2, T3, T4] = [minutesAfter(1), minutesAfter(2), minutesAfter(3), minutesAfter(4)];
const copying = { preparedAt: T1, disk: A_DISK } as const;
const released = { ...copying, copiedAt: T2, releasedAt: T3 } as const;
const back = { ...copying, turnedBackAt: T2 } as const;

describe("its steps", () => {
  const of = (over: Partial<Move>, failedAt: Date | null = null) =>
    stepsOfMove(aMove(over), failedAt).map(({ name, status, startedAt, finishedAt }) => [
      name,
      status,
      startedAt,
      finishedAt,
    ]);
  const pending = (...names: readonly string[]) =>
    names.map((name) => [name, "pending", null, null]);

  test("have each the instant at which it began and was done", () => {
    expect(of({})).toEqual([
      ["prepare", "running", AT, null],
      ...pending("copy", "release", "take_over"),
    ]);
    expect(of({ ...released, takenOverAt: T4 })).toEqual([
      ["prepare", "success", AT, T1],
      ["copy", "success", T1, T2],
      ["release", "success", T2, T3],
      ["take_over", "success", T3, T4],
    ]);
  });

  test("stop where it was turned back, which is a step of its own", () => {
    const stopped = [
      ["prepare", "success", AT, T1],
      ["copy", "error", T1, T2],
      ...pending("release", "take_over"),
    ];
    expect(of(back)).toEqual([...stopped, ["revert", "running", T2, null]]);
    expect(of({ ...back, heldAt: T3 })).toEqual([...stopped, ["revert", "success", T2, T3]]);
  });

  test("went there all the same when the hypervisors had switched over already", () => {
    expect(of({ ...back, method: "live", releasedAt: T3 })).toEqual([
      ["prepare", "success", AT, T1],
      ["copy", "success", T1, T3],
      ["release", "success", T3, T3],
      ["take_over", "running", T3, null],
    ]);
  });

  test("end with the action where that failed before the move had ended", () => {
    expect(of(released, T4).at(-1)).toEqual(["take_over", "error", T3, T4]);
  });
});

test("its progress is the bytes' in the main, never falls, and is whole once the VM is", () => {
  const ways: readonly (readonly Partial<Move>[])[] = [
    [
      {},
      { preparedAt: T1, disk: null },
      copying,
      { ...copying, copiedBytes: 500n },
      { ...copying, copiedBytes: 5000n },
      { ...copying, copiedAt: T2 },
      released,
      { ...released, takenOverAt: T4 },
    ],
    [
      { ...copying, copiedBytes: 500n },
      { ...back, copiedBytes: 500n },
      { ...back, copiedBytes: 500n, heldAt: T3 },
    ],
    [{ ...copying, disk: { ...A_DISK, exportBytes: 0n } }],
  ];
  expect(ways.map((way) => way.map((of) => progressOfMove(aMove(of))))).toEqual([
    [0, 5, 5, 47, 90, 90, 95, 100],
    [47, 47, 100],
    [5],
  ]);
});

test("its guest stood still from off to seen there, or as its hypervisor says", () => {
  const whole = { ...released, stoppedAt: T1, takenOverAt: T4 };
  expect(pauseOfMove(aMove(whole))).toBe(3 * 60_000);
  expect(pauseOfMove(aMove({ ...whole, takenOverAt: null }))).toBeNull();
  expect(pauseOfMove(aMove({ ...whole, stoppedAt: null }))).toBeNull();
  expect(pauseOfMove(aMove({ ...whole, method: "live", pauseMs: 31 }))).toBe(31);
  expect(pauseOfMove(aMove({ ...whole, method: "live" }))).toBeNull();
});

describe("what it waits for", () => {
  const ends = {
    source: { name: "kvm-1", isSilent: false },
    destination: { name: "kvm-2", isSilent: false },
  };
  const { failure } = { failure: { code: "stopped", detail: "" } } as const;
  test.each<[Move["step"], Partial<Move>, "source" | "destination", RegExp]>([
    ["prepare", {}, "source", /made of/],
    ["prepare", { disk: A_DISK }, "destination", /ready/],
    ["copy", {}, "source", /send its disk/],
    ["copy", { sentSha256: "ab" }, "destination", /checksum/],
    ["copy", { method: "live", sentSha256: "ab" }, "source", /handed the guest over/],
    ["copy", { method: "live", hasLeft: true }, "destination", /has come/],
    ["hold", { method: "live", hasLeft: true }, "destination", /has come/],
    ["release", {}, "source", /mark its copy/],
    ["take_over", {}, "destination", /power/],
    ["clean", {}, "source", /trash/],
    ["hold", { failure }, "source", /its own still/],
    ["drop", { failure }, "destination", /remove/],
  ])("at %s (%#) is a word of one end, by its name", (step, over, role, words) => {
    const move = aMove({ ...over, step });
    const detail = expect.stringMatching(words);
    const waits = waitsForOfMove(move, ends);
    expect(waits).toEqual({ code: `move_${role}`, detail });
    expect(waits?.detail).toContain(`${ends[role].name}, its ${role},`);
    const silent = { ...ends, [role]: { ...ends[role], isSilent: true } };
    expect(waitsForOfMove(move, silent)).toEqual({ code: "host_silent", detail });
  });

  test("is a host's, until it has ended", () => {
    const waits = MOVE_STEPS.filter((step) => waitsForOfMove(aMove({ step }), ends) !== null);
    expect(waits).toEqual(MOVE_STEPS.filter((step) => step !== "ended"));
  });
});
