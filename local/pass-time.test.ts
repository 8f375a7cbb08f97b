import { expect, test } from "vitest";
import { createLocalClock } from "./clock.ts";
import { passTime, STEP_MS, type TimeParts } from "./pass-time.ts";

const DAY_MS = 24 * 3_600_000;

/** A stack whose Stripe has something to do at these days from now, and what was done to it, in order. */
function aStack(dueInDays: readonly number[], over: Partial<TimeParts> = {}) {
  const clock = createLocalClock();
  const start = Math.ceil(+clock.now() / 1000);
  const due = dueInDays.map((days) => start + (days * DAY_MS) / 1000);
  const done: { kept: number; sweeps: number; ran: number }[] = [];
  let sweeps = 0;
  let ran = 0;
  const parts: TimeParts = {
    clock,
    sweep: async () => void sweeps++,
    stripe: {
      nextDueAt: () => due[0],
      runDue: () => {
        let n = 0;
        for (; due[0] !== undefined && due[0] * 1000 <= +clock.now(); n++) due.shift();
        ran += n;
        return n;
      },
      webhooks: { pending: () => [] },
    },
    held: { sendHeld: async () => 0 },
    workers: [],
    agents: () => [],
    unfinished: async () => ({}),
    keepOffset: async (offsetMs) => {
      // Kept ahead of the step: a crash now must not bring the clock back.
      expect(offsetMs).toBeGreaterThan(clock.offsetMs());
      done.push({ kept: offsetMs, sweeps, ran });
    },
    ...over,
  };
  return { parts, clock, done, sweeps: () => sweeps, ran: () => ran };
}

test("three months pass in thirteen steps of a week and one that is shorter, with a sweep at the end of each", async () => {
  const stack = aStack([]);
  await passTime(stack.parts, 92 * DAY_MS);
  expect(stack.done.map(({ kept }) => kept)).toEqual([
    ...Array.from({ length: 13 }, (_, n) => (n + 1) * STEP_MS),
    92 * DAY_MS,
  ]);
  expect(stack.clock.offsetMs()).toBe(92 * DAY_MS);
  expect(stack.done.map(({ sweeps }) => sweeps)).toEqual(stack.done.map((_, n) => n + 1));
  expect(stack.sweeps()).toBe(16);
});

test("time stops where Stripe has something to do, and goes on when that is done", async () => {
  const stack = aStack([3, 3.5, 20]);
  await passTime(stack.parts, 21 * DAY_MS);
  const days = stack.done.map(({ kept }) => Math.round((kept / DAY_MS) * 10) / 10);
  expect(days).toEqual([3, 3.5, 10.5, 17.5, 20, 21]);
  expect(stack.done.map(({ ran }) => ran)).toEqual([0, 1, 2, 2, 2, 3]);
  expect(stack.ran()).toBe(3);
});

test("a step is not over while something is unfinished, and the clock stands as long", async () => {
  let rounds = 3;
  const at: number[] = [];
  const stack = aStack([], {
    unfinished: async () => {
      at.push(stack.clock.offsetMs());
      return rounds-- > 0 ? { inbox: 1 } : {};
    },
  });
  await passTime(stack.parts, DAY_MS);
  expect(at).toEqual([0, 0, 0, 0, DAY_MS, DAY_MS]);
});

// 4b A8: after the clock had moved, VMs were "unknown" until their hosts happened to report.
test("at the end, and not before, each host tells what it sees now, and what that brings about is done", async () => {
  const told: { offset: number; sweeps: number }[] = [];
  const stack = aStack([], {
    agents: () => [
      {
        tellAll: async () =>
          void told.push({ offset: stack.clock.offsetMs(), sweeps: stack.sweeps() }),
      },
    ],
  });
  await passTime(stack.parts, 8 * DAY_MS);
  expect(told).toEqual([{ offset: 8 * DAY_MS, sweeps: 3 }]);
  expect(stack.sweeps()).toBe(4);
});

test("an offset that could not be kept is not gone to", async () => {
  const stack = aStack([], {
    keepOffset: async () => {
      throw new Error("the disk is full");
    },
  });
  await expect(passTime(stack.parts, DAY_MS)).rejects.toThrow("the disk is full");
  expect(stack.clock.offsetMs()).toBe(0);
});
