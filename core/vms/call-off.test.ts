import { describe, expect, test } from "vitest";
import { ACTION_TYPES, type Action } from "./action.ts";
import { CALLING_OFF, callOff } from "./call-off.ts";
import { AT, minutesAfter } from "#test/builders.ts";

/* 5.6: staff call off an action that is stuck, and what may have been done is never said to be cancelled. */

const VM = {
  presence: "present",
  power: "off",
  stopMode: "graceful",
  generation: 7,
  observedPower: "running",
} as const;
const kept = (over: Partial<Action> = {}) => ({
  action: {
    id: "a",
    vmId: "v",
    type: "shutdown",
    status: "running",
    generation: 7,
    startedAt: AT,
    finishedAt: null,
    error: null,
    ...over,
  } satisfies Action,
  hostGeneration: 31,
  prior: { power: "running", stopMode: "firm" } as const,
});

describe("calling an action off", () => {
  test.each(["cancel", "abandon"] as const)(
    "that no document of its host holds cancels it by %s, and what was before is desired again",
    (how) => {
      for (const served of [30, null])
        expect(callOff(VM, kept(), served, how)).toMatchObject({
          value: {
            end: { code: "cancelled" },
            desire: { presence: "present", power: "running", stopMode: "firm", generation: 8 },
          },
        });
    },
  );

  test("that its host may have begun is refused, unless it is abandoned, and ends with that word", () => {
    for (const served of [31, 40]) {
      expect(callOff(VM, kept(), served, "cancel")).toMatchObject({
        error: { code: "action_may_be_under_way" },
      });
      expect(callOff(VM, kept(), served, "abandon")).toMatchObject({
        value: { end: { code: "abandoned" }, desire: { power: "running", generation: 8 } },
      });
    }
  });

  test("of before its host's generation was kept counts as told of, and goes back to what is seen", () => {
    const old = { ...kept(), hostGeneration: null, prior: null };
    expect(callOff(VM, old, null, "cancel")).toMatchObject({
      error: { code: "action_may_be_under_way" },
    });
    const power = (observedPower: "off" | "running" | null) => {
      const off = callOff({ ...VM, observedPower }, old, null, "abandon");
      return off.ok && off.value.desire.power;
    };
    expect([power("off"), power("running"), power(null)]).toEqual(["off", "running", "running"]);
  });

  test.each(ACTION_TYPES)("of the type %s is what the table says", (type) => {
    const off = callOff(VM, kept({ type }), 30, "cancel");
    const way = CALLING_OFF[type];
    expect(off).toMatchObject(
      way === "no"
        ? { error: { code: "action_not_cancellable" } }
        : { value: { desire: { generation: way === "power_back" ? 8 : 7 } } },
    );
  });

  test("again changes nothing, and one that ended otherwise is refused", () => {
    const ended = (error: Action["error"]) =>
      kept({ status: error ? "error" : "success", finishedAt: minutesAfter(1), error });
    const { generation } = VM;
    for (const code of ["cancelled", "abandoned"] as const)
      expect(callOff(VM, ended({ code, message: "" }), 40, "cancel")).toMatchObject({
        value: { end: null, desire: { generation, power: VM.power } },
      });
    for (const error of [null, { code: "timed_out", message: "" } as const])
      expect(callOff(VM, ended(error), 30, "abandon")).toMatchObject({
        error: { code: "action_ended" },
      });
  });

  test("of a VM that is to go is refused", () => {
    expect(callOff({ ...VM, presence: "absent" }, kept(), 30, "abandon")).toMatchObject({
      error: { code: "action_not_cancellable" },
    });
  });
});
