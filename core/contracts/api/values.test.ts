import { expect, test } from "vitest";
import { Count, Label } from "./values.ts";

test.each([
  ["a", "a"],
  ["Ada's VM №1 🚀", "Ada's VM №1 🚀"],
  ["\t two words \n", "two words"],
  ["x".repeat(20), "x".repeat(20)],
  // The spaces about it do not count.
  [`  ${"x".repeat(20)}  `, "x".repeat(20)],
])("the label %j is taken, as %j", (text, label) => {
  expect(Label(20).parse(text)).toBe(label);
});

test.each(["", " ", "\n\t", "x".repeat(21), 7, null])("%j is no label", (text) => {
  expect(Label(20).safeParse(text).success).toBe(false);
});

test.each(["a\0b", "a\nb", "a\tb", "a\x1bb", "a\x7fb", "a\u0085b", "a\ud800", "\udc00a"])(
  "a label may hold no control character and no half of one: %j",
  (text) => {
    expect(Label(20).safeParse(text).error?.issues).toMatchObject([
      { message: "may hold no control characters" },
    ]);
  },
);

test.each(["0", "1048576", "9".repeat(30)])("%j counts something", (text) => {
  expect(Count.parse(text)).toBe(text);
});

test.each(["", "-1", "1.5", "1e3", " 1", "1 ", "one", 1])("%j counts nothing", (text) => {
  expect(Count.safeParse(text).success).toBe(false);
});
