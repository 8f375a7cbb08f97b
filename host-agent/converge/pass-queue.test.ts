import { describe, expect, test } from "vitest";
import { IdentityRevoked } from "../channel/control-plane.ts";
import { createPassQueue } from "./pass-queue.ts";
import type { PassRequest } from "./sync.ts";

/** A queue whose passes end when the test says so. */
function aQueue() {
  const begun: PassRequest[] = [];
  const revoked: Error[] = [];
  let end: { resolve: (truth: boolean) => void; reject: (error: Error) => void } | null = null;
  const queue = createPassQueue(
    (request) => {
      begun.push(request);
      return new Promise((resolve, reject) => {
        end = { resolve, reject };
      });
    },
    (error) => revoked.push(error),
  );
  return {
    begun,
    revoked,
    ask: (atLeast: number | null, full = false) => queue.ask({ full, atLeast }),
    end: (truth = true) => end?.resolve(truth),
    fail: (error: Error) => end?.reject(error),
  };
}

describe("passes", () => {
  test("that are asked for meanwhile are one, for the newest generation that was named and in full if any is", async () => {
    const { begun, ask, end } = aQueue();
    const first = ask(3);
    const later = [ask(null), ask(7), ask(5, true), ask(null)];
    end();
    expect(await first).toBe(true);
    await expect.poll(() => begun).toHaveLength(2);
    end(false);
    expect(await Promise.all(later)).toEqual([false, false, false, false]);
    expect(begun).toEqual([
      { full: false, atLeast: 3 },
      { full: true, atLeast: 7 },
    ]);
  });

  test("begin anew with each: what one asked for is not asked for by the next", async () => {
    const { begun, ask, end } = aQueue();
    for (const [atLeast, full] of [[9, true] as const, [null, false] as const]) {
      const asked = ask(atLeast, full);
      end();
      await asked;
    }
    expect(begun.at(-1)).toEqual({ full: false, atLeast: null });
  });

  test("that fail are told to who asked, and keep no other from its pass", async () => {
    const { revoked, begun, ask, end, fail } = aQueue();
    const [first, second] = [ask(1), ask(2)];
    fail(new Error("the disk is full"));
    await expect(first).rejects.toThrow("the disk is full");
    await expect.poll(() => begun).toHaveLength(2);
    end();
    expect(await second).toBe(true);
    expect(revoked).toEqual([]);
  });

  test("of a host whose identity was revoked say so, and hold no truth", async () => {
    const { revoked, ask, fail } = aQueue();
    const asked = ask(1);
    const why = new IdentityRevoked(401, "identity_revoked", "another key was enrolled");
    fail(why);
    expect(await asked).toBe(false);
    expect(revoked).toEqual([why]);
  });
});
