import { describe, expect, test } from "vitest";
import { aMove } from "#test/move-builders.ts";
import {
  HAS_MOVED,
  MOVE_COMMANDS,
  MOVE_METHODS,
  MOVE_MOVES,
  MOVE_ROLES,
  MOVE_STEPS,
  nextMoveStep,
  type MoveMethod,
  type MoveRole,
  type MoveStep,
} from "./move.ts";
import { isInMovesHands, partOf } from "./part.ts";

/* 6b item 3, invariant 17: a move's steps, and what each end is told at each of them. */

describe("the table of steps", () => {
  test.each([
    // advance, turn_back, switch_over
    ["prepare", ["copy", "hold", "refused"]],
    ["copy", ["release", "hold", "take_over"]],
    ["release", ["take_over", "hold", "refused"]],
    ["take_over", ["clean", "refused", "refused"]],
    ["clean", ["ended", "refused", "refused"]],
    ["hold", ["drop", "refused", "take_over"]],
    ["drop", ["ended", "refused", "refused"]],
    ["ended", ["refused", "refused", "refused"]],
  ] as const)("leads from %s, by each command, to %j", (from, to) => {
    expect(MOVE_COMMANDS.map((command) => nextMoveStep(from, command) ?? "refused")).toEqual(to);
  });

  test("leads from the first step to each, from each to the end, and from there nowhere", () => {
    expect(MOVE_STEPS.filter((step) => !reached("prepare").has(step))).toEqual([]);
    for (const step of MOVE_STEPS) expect(reached(step)).toContain("ended");
    expect([...reached("ended")]).toEqual(["ended"]);
  });

  test("never comes again to a step that it has left", () => {
    for (const from of MOVE_STEPS)
      for (const to of Object.values<MoveStep>(MOVE_MOVES[from]))
        expect(reached(to)).not.toContain(from);
  });

  test("has no way back once the VM is its destination's", () => {
    for (const step of HAS_MOVED)
      expect([...reached(step)].filter((to) => to !== "ended" && !HAS_MOVED.has(to))).toEqual([]);
  });
});

function reached(from: MoveStep): ReadonlySet<MoveStep> {
  const seen = new Set<MoveStep>([from]);
  // What is added while it is walked is walked too.
  for (const step of seen) for (const to of Object.values<MoveStep>(MOVE_MOVES[step])) seen.add(to);
  return seen;
}

const at = (step: MoveStep, method: MoveMethod) => aMove({ step, method });
const partAt = (role: MoveRole, step: MoveStep, method: MoveMethod) =>
  partOf(at(step, method), role);

/** By what it is told, it may have the VM run: `starts` where its own machinery may start it, `runs` where only the move's may. */
function mayDo(role: MoveRole, step: MoveStep, method: MoveMethod): "starts" | "runs" | null {
  const part = partAt(role, step, method);
  if (part === null || part.presence === "absent" || part.power === "off") return null;
  return part.isNamed && isInMovesHands({ role, step, method }) ? "runs" : "starts";
}

describe.each(MOVE_METHODS)("a %s move", (method) => {
  test("lets at each step one host at most have the VM run", () => {
    const may = MOVE_STEPS.map((step) => [
      step,
      ...MOVE_ROLES.map((role) => mayDo(role, step, method)),
    ]);
    const still = method === "cold" ? null : "runs";
    expect(may).toEqual([
      ["prepare", "starts", null],
      ["copy", still, null],
      ["release", null, null],
      ["take_over", null, "starts"],
      ["clean", null, "starts"],
      ["hold", still, null],
      ["drop", "starts", null],
      ["ended", null, null],
    ]);
  });

  /* A host may act by a document that the other's has left behind, but never by one of before its own word. */
  test("lets nobody start the VM by what it was told before the other end's word", () => {
    const before = MOVE_STEPS.filter(
      (step) => !HAS_MOVED.has(step) && reached(step).has("take_over"),
    );
    for (const step of before) expect(mayDo("destination", step, method)).toBeNull();
    // The source has said that it released it, and applies nothing older than what it said that of.
    for (const step of reached("take_over")) expect(mayDo("source", step, method)).toBeNull();
    for (const step of reached("drop")) expect(mayDo("destination", step, method)).toBeNull();
  });

  test("names the VM to one host at its present epoch, and to the other at another", () => {
    for (const step of MOVE_STEPS.filter((of) => of !== "ended")) {
      const { sourceEpoch, epoch } = at(step, method);
      const present = HAS_MOVED.has(step) ? epoch : sourceEpoch;
      const owner = HAS_MOVED.has(step) ? "destination" : "source";
      const holders = MOVE_ROLES.filter(
        (role) => partAt(role, step, method)?.ownerEpoch === present,
      );
      expect({ step, holders }).toEqual({ step, holders: [owner] });
    }
  });

  test("names itself to whoever has something to do or to leave alone for it", () => {
    const named = (role: MoveRole) =>
      MOVE_STEPS.filter((step) => partAt(role, step, method)?.isNamed === true);
    expect(named("source")).toEqual(["prepare", "copy", "release", "take_over", "clean", "hold"]);
    expect(named("destination")).toEqual(["prepare", "copy", "release", "hold", "drop"]);
  });
});
