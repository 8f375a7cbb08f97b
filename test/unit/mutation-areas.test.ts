import path from "node:path";
import { describe, expect, test } from "vitest";
import { AREAS } from "#test/mutation/areas.ts";
import { placeOf } from "#test/mutation/mutant-place.ts";
import { filesOf, mutantsOf } from "#test/mutation/mutants-of.ts";

const ROOT = path.join(import.meta.dirname, "../..");

describe.each(Object.entries(AREAS))("the area %s", (_, area) => {
  const [plants, leaves] = [true, false].map((wanted) =>
    area.mutate.filter((glob) => !glob.startsWith("!") === wanted),
  );

  test("names files that are there, in each of its lines", () => {
    for (const glob of [...(plants ?? []), ...area.tests])
      expect(filesOf([glob], ROOT)).not.toEqual([]);
    for (const glob of leaves ?? []) expect(filesOf([glob.slice(1)], ROOT)).not.toEqual([]);
  });

  test("has either a goal for all its mutants, or draws from them", () => {
    expect(area.goal === null).toBe(area.drawn !== null);
  });
});

test("a mutant's place names it alone, and is the same each time", async () => {
  const mutants = () => mutantsOf(["core/orders/*.ts", "!core/orders/*.test.ts"], ROOT);
  const places = (await mutants()).map(placeOf);
  expect(places.length).toBeGreaterThan(50);
  expect(places.every((place) => place.startsWith("core/orders/"))).toBe(true);
  expect(places.some((place) => place.includes(".test.ts"))).toBe(false);
  expect(new Set(places).size).toBe(places.length);
  expect((await mutants()).map(placeOf)).toEqual(places);
});
