import { describe, expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import { ACTION_TYPES, type Action } from "./action.ts";
import { progressOf, stepsOf, type SeenOfVm } from "./action-steps.ts";

const anAction = (over: Partial<Action> = {}): Action => ({
  id: "a",
  vmId: "v",
  type: "create",
  status: "running",
  generation: 2,
  startedAt: AT,
  finishedAt: null,
  error: null,
  ...over,
});
const seen = (over: Partial<SeenOfVm> = {}): SeenOfVm => ({
  observedGeneration: 1,
  firstSeenAt: null,
  guestReadyAt: null,
  ...over,
});
const failed = {
  status: "error",
  finishedAt: minutesAfter(3),
  error: { code: "timed_out", message: "" },
} as const;

describe("a VM's creation", () => {
  test("is being made until its host has shown it whole", () => {
    const action = anAction();
    expect(stepsOf(action, seen())).toEqual([
      { name: "request", status: "success", startedAt: AT, finishedAt: AT },
      { name: "make", status: "running", startedAt: AT, finishedAt: null },
      { name: "boot", status: "pending", startedAt: null, finishedAt: null },
    ]);
    expect(progressOf(action, seen())).toBe(0);
    expect(stepsOf(action, null)).toEqual(stepsOf(action, seen()));
  });

  test("is no further for a report on its generation: what counts is that the VM is there", () => {
    expect(progressOf(anAction(), seen({ observedGeneration: 2 }))).toBe(0);
  });

  test("boots from then on, and is done when its guest is up", () => {
    const made = seen({ firstSeenAt: minutesAfter(1) });
    expect(stepsOf(anAction(), made).slice(1)).toEqual([
      { name: "make", status: "success", startedAt: AT, finishedAt: minutesAfter(1) },
      { name: "boot", status: "running", startedAt: minutesAfter(1), finishedAt: null },
    ]);
    expect(progressOf(anAction(), made)).toBe(50);
    const up = { ...made, guestReadyAt: minutesAfter(2) };
    expect(stepsOf(anAction(), up).at(-1)).toEqual({
      name: "boot",
      status: "success",
      startedAt: minutesAfter(1),
      finishedAt: minutesAfter(2),
    });
    expect(progressOf(anAction(), up)).toBe(99);
    const done = anAction({ status: "success", finishedAt: minutesAfter(2) });
    expect(stepsOf(done, { ...made, guestReadyAt: minutesAfter(2) }).at(-1)).toEqual({
      name: "boot",
      status: "success",
      startedAt: minutesAfter(1),
      finishedAt: minutesAfter(2),
    });
    expect(progressOf(done, made)).toBe(100);
  });

  test("that failed says where", () => {
    const made = seen({ firstSeenAt: minutesAfter(1) });
    expect(stepsOf(anAction(failed), made).map((s) => s.status)).toEqual([
      "success",
      "success",
      "error",
    ]);
    expect(stepsOf(anAction(failed), seen()).map((s) => s.status)).toEqual([
      "success",
      "error",
      "pending",
    ]);
    expect(progressOf(anAction(failed), made)).toBe(50);
  });
});

describe("another action", () => {
  test("is half done when its host has reported on the change, if there is one to report on", () => {
    const taken = seen({ observedGeneration: 2 });
    expect(progressOf(anAction({ type: "stop" }), seen())).toBe(0);
    expect(progressOf(anAction({ type: "stop" }), null)).toBe(0);
    expect(progressOf(anAction({ type: "stop" }), taken)).toBe(50);
    // A reboot changes nothing of what should be: any report is of its generation.
    expect(progressOf(anAction({ type: "reboot" }), taken)).toBe(0);
  });

  test("is one step that ends with it", () => {
    const done = anAction({ type: "reset", status: "success", finishedAt: minutesAfter(1) });
    expect(stepsOf(done, null).at(-1)).toEqual({
      name: "carry_out",
      status: "success",
      startedAt: AT,
      finishedAt: minutesAfter(1),
    });
  });
});

test("every step lies within its action, one after the other, whatever was seen of the VM", () => {
  const instants = [null, minutesAfter(-5), minutesAfter(1), minutesAfter(9)];
  for (const type of ACTION_TYPES)
    for (const end of [{}, { status: "success", finishedAt: minutesAfter(3) } as const, failed])
      for (const firstSeenAt of instants)
        for (const guestReadyAt of instants) {
          const action = anAction({ type, ...end });
          let at = AT;
          for (const step of stepsOf(action, seen({ firstSeenAt, guestReadyAt }))) {
            if (step.startedAt === null) continue;
            expect(+step.startedAt).toBeGreaterThanOrEqual(+at);
            at = step.finishedAt ?? step.startedAt;
            expect(+at).toBeGreaterThanOrEqual(+step.startedAt);
            expect(+at).toBeLessThanOrEqual(+(action.finishedAt ?? at));
          }
        }
});
