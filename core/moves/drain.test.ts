import { describe, expect, test } from "vitest";
import {
  cameOf,
  decideDrain,
  decideTurn,
  DRAIN_REASONS,
  DRAIN_VM_COMMANDS,
  DRAIN_VM_MOVES,
  DRAIN_VM_STATES,
  MOST_TRIES,
  nextDrainVmState,
  putOffOrGiveUp,
  type DrainVmState,
} from "./drain.ts";
import type { Checked } from "./preflight.ts";

/* 6b item 4: a host is emptied: its states, and what comes of a VM at its turn and after it. */

const NOW = new Date("2026-03-01T00:00:00Z");

test("a VM that waits comes to each end, and from an end nowhere", () => {
  const seen = new Set<DrainVmState>(["waiting"]);
  for (const state of seen)
    for (const to of Object.values<DrainVmState>(DRAIN_VM_MOVES[state])) seen.add(to);
  expect([...seen].sort()).toEqual([...DRAIN_VM_STATES].sort());
  const ends = DRAIN_VM_STATES.filter((from) =>
    DRAIN_VM_COMMANDS.every((command) => nextDrainVmState(from, command) === undefined),
  );
  expect(ends).toEqual(["moved", "stays", "gone", "left_out"]);
});

test("a move in flight is not left out, and none is begun twice", () => {
  expect(nextDrainVmState("moving", "leave_out")).toBeUndefined();
  expect(nextDrainVmState("moving", "begin")).toBeUndefined();
});

test("each reason is named once", () => {
  expect(new Set(DRAIN_REASONS).size).toBe(DRAIN_REASONS.length);
});

describe("at its turn", () => {
  const against = (...checks: readonly Checked["check"][]): readonly Checked[] => [
    { check: "vm", ok: true, detail: "it is there" },
    ...checks.map((check) => ({ check, ok: false, detail: "so it is" })),
  ];
  const turn = (
    checks: readonly Checked[],
    { tries = 0, hasDestination = true, isHere = true } = {},
  ) =>
    decideTurn({ checks, hasDestination, isHere, interrupts: true }, { tries, window: null }, NOW);
  const inFive = new Date("2026-03-01T00:05:00Z");

  test("a VM that nothing stands against is begun", () => {
    expect(turn(against())).toEqual({ as: "begin" });
  });

  test.each(["running_action", "first_boot", "room", "source_host", "destination_host"] as const)(
    "%s passes, and is looked at again",
    (check) => {
      expect(turn(against(check))).toMatchObject({
        as: "put_off",
        until: inFive,
        why: { reason: check },
      });
    },
  );

  test.each(["image", "capabilities", "location", "hypervisor", "method", "vm"] as const)(
    "%s does not, whatever else would",
    (check) => {
      expect(turn(against("room", check))).toEqual({
        as: "give_up",
        why: { reason: check, detail: `room: so it is; ${check}: so it is` },
      });
    },
  );

  test("no host at all is told as that", () => {
    expect(turn(against("destination_host"), { hasDestination: false })).toMatchObject({
      as: "put_off",
      why: { reason: "no_destination" },
    });
  });

  test("one that is gone is not looked at further", () => {
    expect(turn(against("image"), { isHere: false })).toEqual({ as: "vanish" });
  });

  const HOUR_MS = 3_600_000;
  const hours = (n: number) => new Date(+NOW + n * HOUR_MS);
  const inWindow = (from: number, to: number, { interrupts = true, checks = against() } = {}) =>
    decideTurn(
      { checks, hasDestination: true, isHere: true, interrupts },
      { tries: 3, window: { startsAt: hours(from), endsAt: hours(to) } },
      NOW,
    );

  test("what would be stopped waits for the announced hour, which is no try, and begins in it alone", () => {
    const waits = { as: "put_off", until: hours(2), tries: 3, why: { reason: "window_ahead" } };
    expect(inWindow(2, 4)).toMatchObject(waits);
    expect(inWindow(0, 4)).toEqual({ as: "begin" });
    expect(inWindow(-2, 0)).toMatchObject({ as: "give_up", why: { reason: "window_over" } });
  });

  test("what passes is looked at until the announced hour without a try, and is given up in it at the soonest", () => {
    const checks = against("room");
    const waits = { as: "put_off", tries: 3, why: { reason: "room" } };
    expect(inWindow(48, 50, { checks })).toMatchObject({ ...waits, until: hours(1) });
    expect(inWindow(0.5, 2, { checks, interrupts: false })).toMatchObject({
      ...waits,
      until: hours(0.5),
    });
    expect(inWindow(-1, 2, { checks })).toMatchObject({ as: "put_off", tries: 4 });
  });

  test("what moves without being stopped waits for no hour, and what stands against a move goes before it", () => {
    expect(inWindow(2, 4, { interrupts: false })).toEqual({ as: "begin" });
    expect(inWindow(-2, 0, { interrupts: false })).toEqual({ as: "begin" });
    expect(inWindow(2, 4, { checks: against("image") })).toMatchObject({
      as: "give_up",
      why: { reason: "image" },
    });
  });

  test("what does not pass in an hour stays, with its reason", () => {
    const why = { reason: "no_capacity", detail: "taken" } as const;
    expect(putOffOrGiveUp(why, MOST_TRIES - 2, NOW)).toMatchObject({ as: "put_off" });
    expect(putOffOrGiveUp(why, MOST_TRIES - 1, NOW)).toEqual({ as: "give_up", why });
  });
});

describe("what came of a move", () => {
  const there = { isLost: false, isToGo: false };
  const failure = { code: "destination_refused", detail: "out_of_disk" } as const;
  const going = { outcome: null, failure: null };

  test.each(["prepare", "copy", "release", "take_over", "hold"] as const)(
    "%s: not known",
    (step) => {
      expect(cameOf({ ...going, step }, there)).toBeNull();
    },
  );

  test("it arrived as soon as it was seen there", () => {
    expect(cameOf({ ...going, step: "clean" }, there)).toEqual({ as: "arrive" });
    expect(cameOf({ step: "ended", outcome: "moved", failure: null }, there)).toEqual({
      as: "arrive",
    });
  });

  test("it stays as soon as it is whole at its source again", () => {
    const why = { reason: "destination_refused", detail: "out_of_disk" };
    for (const of of [
      { step: "drop", outcome: null },
      { step: "ended", outcome: "turned_back" },
    ] as const) {
      expect(cameOf({ ...of, failure }, there)).toEqual({ as: "give_up", why });
      expect(cameOf({ ...of, failure }, { ...there, isToGo: true })).toEqual({ as: "vanish" });
    }
  });

  test("a VM that its new host lost keeps nobody from their turn", () => {
    expect(cameOf({ ...going, step: "take_over" }, { ...there, isLost: true })).toMatchObject({
      as: "give_up",
      why: { reason: "vm_lost" },
    });
  });
});

test.each([
  [{ isDraining: false, isComing: true, vms: { moving: 1 } }, "stopped"],
  [{ isDraining: true, isComing: false, vms: { waiting: 1 } }, null],
  [{ isDraining: true, isComing: false, vms: { moving: 1, stays: 1 } }, null],
  [{ isDraining: true, isComing: true, vms: { moved: 1 } }, null],
  [{ isDraining: true, isComing: false, vms: { moved: 3, gone: 1 } }, "empty"],
  [{ isDraining: true, isComing: false, vms: { moved: 3, stays: 1 } }, "left"],
] as const)("a drain that has come to %j: %s", (now, outcome) => {
  expect(decideDrain(now)).toBe(outcome);
});
