import { expect, test } from "vitest";
import { withShortTexts } from "./log-fields.ts";

// 4b B7
test("a line of the log holds the beginning of a long text, and says how much is missing", () => {
  const path = `/${"a".repeat(9000)}`;
  const error = new Error("e".repeat(9000));
  const line = withShortTexts({
    path,
    code: "not_found",
    n: 9,
    none: null,
    all: [path, "b"],
    error,
  });
  expect(line).toEqual({
    path: `/${"a".repeat(299)}… (8701 more)`,
    code: "not_found",
    n: 9,
    none: null,
    all: [`/${"a".repeat(299)}… (8701 more)`, "b"],
    error,
  });
  expect(withShortTexts({ path: "a".repeat(300) })).toEqual({ path: "a".repeat(300) });
});
