import { describe, expect, test } from "vitest";
import { z } from "zod";
import { PageQuery, pageOf } from "./page.ts";

describe("a page that is asked for", () => {
  test.each([
    [{}, { limit: 25 }],
    [{ limit: "1" }, { limit: 1 }],
    [{ limit: "100" }, { limit: 100 }],
    [{ cursor: "a" }, { limit: 25, cursor: "a" }],
    [
      { limit: "7", cursor: `aZ09_-${"c".repeat(94)}` },
      { limit: 7, cursor: `aZ09_-${"c".repeat(94)}` },
    ],
  ])("by %o is %o", (query, page) => {
    expect(PageQuery.parse(query)).toEqual(page);
  });

  test.each([
    { limit: "0" },
    { limit: "-1" },
    { limit: "101" },
    { limit: "1e9" },
    { limit: "ten" },
    { limit: "1.5" },
    { limit: "" },
    { cursor: "" },
    { cursor: "a b" },
    { cursor: "a\n" },
    { cursor: "é" },
    { cursor: "c".repeat(101) },
    { page: "2" },
  ])("by %o is refused", (query) => {
    expect(PageQuery.safeParse(query).success).toBe(false);
  });
});

test("a page has its items and where the next one begins; null on the last", () => {
  const Page = pageOf("APage", z.int());
  for (const page of [
    { items: [1, 2], nextCursor: "3" },
    { items: [], nextCursor: null },
  ])
    expect(Page.parse(page)).toEqual(page);
  for (const page of [{ items: [1] }, { nextCursor: null }, { items: ["1"], nextCursor: null }])
    expect(Page.safeParse(page).success).toBe(false);
});
