import { expect, test } from "vitest";
import { createSlots } from "./time-limit.ts";

/** Work that ends when it is told to, and what has begun. */
function works(slot: ReturnType<typeof createSlots>) {
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  return {
    begun,
    begin: (n: number) =>
      slot(async () => {
        begun.push(n);
        await new Promise<void>((resolve) => (ends[n] = resolve));
      }),
    end: (n: number) => ends[n]?.(),
  };
}

test("item 4: more slots or fewer count from the next end on, and who waits is let in by the order of asking", async () => {
  let size = 1;
  const { begun, begin, end } = works(createSlots(() => size));
  const all = [0, 1, 2, 3].map(begin);
  expect(begun).toEqual([0]);
  size = 3;
  end(0);
  await all[0];
  expect(begun).toEqual([0, 1, 2, 3]);
  size = 1;
  const last = [begin(4)];
  for (const n of [1, 2]) {
    end(n);
    await all[n];
  }
  // One still works, and one is all that may.
  expect(begun).toEqual([0, 1, 2, 3]);
  end(3);
  await all[3];
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  end(4);
  await last[0];
});

test("who waits and is told to stop waits no longer, and keeps nobody from their turn", async () => {
  const slot = createSlots(() => 1);
  const { begun, begin, end } = works(slot);
  const first = begin(0);
  const stop = new AbortController();
  const second = slot(async () => void begun.push(1), stop.signal);
  const third = begin(2);
  stop.abort(new Error("turned back"));
  await expect(second).rejects.toThrow("turned back");
  end(0);
  await first;
  expect(begun).toEqual([0, 2]);
  end(2);
  await third;
  await expect(slot(async () => undefined, stop.signal)).rejects.toThrow("turned back");
});
