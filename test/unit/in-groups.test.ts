import { describe, expect, test } from "vitest";
import { inGroups } from "#commands/in-groups.ts";

/** Work that ends when the test says so. */
function anOffice(most: number) {
  const groups: { items: readonly string[]; end: PromiseWithResolvers<void> }[] = [];
  const ask = inGroups<string, string>(most, async (items) => {
    const end = Promise.withResolvers<void>();
    groups.push({ items, end });
    await end.promise;
    return items.map((item) => `${item} done`);
  });
  return { ask, groups, group: (n: number) => groups.map((g) => g.items)[n] };
}

describe("work in groups", () => {
  test("serves who comes alone at once, and who comes meanwhile together", async () => {
    const { ask, groups, group } = anOffice(10);
    const first = ask("a");
    expect(group(0)).toEqual(["a"]);
    const others = [ask("b"), ask("c"), ask("d")];
    expect(groups).toHaveLength(1);
    groups[0]?.end.resolve();
    expect(await first).toBe("a done");
    await expect.poll(() => group(1)).toEqual(["b", "c", "d"]);
    groups[1]?.end.resolve();
    expect(await Promise.all(others)).toEqual(["b done", "c done", "d done"]);
    const last = ask("e");
    expect(group(2)).toEqual(["e"]);
    groups[2]?.end.resolve();
    expect(await last).toBe("e done");
  });

  test("takes no more at once than it may", async () => {
    const { ask, groups, group } = anOffice(2);
    const all = ["a", "b", "c", "d"].map(ask);
    for (const n of [0, 1, 2]) {
      await expect.poll(() => group(n)).toEqual([["a"], ["b", "c"], ["d"]][n]);
      groups[n]?.end.resolve();
    }
    expect(await Promise.all(all)).toHaveLength(4);
  });

  test("lets one that always fails cost no other", async () => {
    const tried: (readonly string[])[] = [];
    const ask = inGroups<string, string>(10, async (items) => {
      tried.push(items);
      await Promise.resolve();
      if (items.includes("bad")) throw new Error("no");
      return items;
    });
    const all = await Promise.allSettled(["a", "b", "bad", "c"].map(ask));
    expect(all.map((each) => each.status)).toEqual([
      "fulfilled",
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    expect(tried).toEqual([["a"], ["b", "bad", "c"], ["b"], ["bad"], ["c"]]);
  });
});
