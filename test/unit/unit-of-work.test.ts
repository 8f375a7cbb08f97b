import { expect, test } from "vitest";
import { unitOfWork } from "#commands/unit-of-work.ts";
import { recordedLog } from "#test/harness/control-plane.ts";
import { settableClock } from "#test/harness/settable-clock.ts";

/** A unit that adds a field, takes 1.25 s, and ends as `end` does. */
function work(end: () => string) {
  const log = recordedLog();
  const clock = settableClock();
  const done = unitOfWork({ clock, log }, "test.worked", { host_id: "h1", n: 1 }, async (add) => {
    add({ n: 2, more: true });
    clock.advance(1250);
    return end();
  });
  return { done, log };
}

test("a unit of work writes one line with all its fields and its time", async () => {
  const { done, log } = work(() => "value");
  expect(await done).toBe("value");
  expect(log.lines).toEqual([
    { event: "test.worked", outcome: "ok", host_id: "h1", n: 2, more: true, duration_ms: 1250 },
  ]);
  expect(log.errors).toEqual([]);
});

test("one that throws writes it as an error, with what was known by then, and throws on", async () => {
  const error = new Error("gone");
  const { done, log } = work(() => {
    throw error;
  });
  await expect(done).rejects.toBe(error);
  const line = { outcome: "threw", host_id: "h1", n: 2, more: true, duration_ms: 1250, error };
  expect(log.errors).toEqual([{ event: "test.worked", ...line }]);
  expect(log.lines).toHaveLength(1);
});
