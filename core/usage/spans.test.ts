import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addSpan, covers, endOf, overlaps, type Span, type Spans } from "./spans.ts";

const GAPS: Spans = [
  [10, 20],
  [30, 40],
];

describe("spans", () => {
  test.each<[string, Span, Spans]>([
    [
      "one that touches neither stands between them",
      [22, 28],
      [
        [10, 20],
        [22, 28],
        [30, 40],
      ],
    ],
    [
      "one that touches the first lengthens it",
      [20, 25],
      [
        [10, 25],
        [30, 40],
      ],
    ],
    [
      "one that touches the second begins it earlier",
      [25, 30],
      [
        [10, 20],
        [25, 40],
      ],
    ],
    ["one that fills the gap makes them one", [20, 30], [[10, 40]]],
    ["one that they cover changes nothing", [32, 35], GAPS],
    ["one before all is the first", [1, 5], [[1, 5], ...GAPS]],
  ])("%s", (_, span, all) => {
    expect(addSpan(GAPS, span)).toEqual(all);
  });

  test("cover what lies in one of them, and overlap what shares a number with one", () => {
    expect(covers(GAPS, [10, 20])).toBe(true);
    expect(covers(GAPS, [15, 31])).toBe(false);
    expect(overlaps(GAPS, [20, 30])).toBe(false);
    expect(overlaps(GAPS, [19, 30])).toBe(true);
    expect(overlaps(GAPS, [20, 31])).toBe(true);
  });

  test("end where the last one ends", () => {
    expect(endOf(GAPS)).toBe(40);
    expect(endOf([])).toBeUndefined();
  });

  test("hold the numbers that were added, whatever their order", () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 0, max: 60 }), { maxLength: 60 });
    fc.assert(
      fc.property(numbers, (added) => {
        const spans = added.reduce<Spans>((all, n) => addSpan(all, [n, n + 1]), []);
        const held = Array.from({ length: 61 }, (_, n) => n).filter((n) =>
          covers(spans, [n, n + 1]),
        );
        expect(held).toEqual(added.toSorted((a, b) => a - b));
        for (const [n, [begin]] of spans.slice(1).entries())
          expect(spans[n]?.[1]).toBeLessThan(begin);
      }),
    );
  });

  test("are 64 at most: the oldest gap is closed, and nothing that was added is forgotten", () => {
    const many = Array.from({ length: 65 }, (_, n): Span => [n * 10, n * 10 + 1]);
    const spans = many.reduce<Spans>((all, span) => addSpan(all, span), []);
    expect(spans).toHaveLength(64);
    expect(spans[0]).toEqual([0, 11]);
    expect(many.every((span) => covers(spans, span))).toBe(true);
  });
});
