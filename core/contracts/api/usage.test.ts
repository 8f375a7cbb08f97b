import { expect, test } from "vitest";
import { UsageQuery } from "./usage.ts";

test.each([
  [{}, { by: "hour" }],
  [{ by: "day" }, { by: "day" }],
  [
    { from: "1970-01-01T00:00:00Z", to: "9999-12-31T23:59:59.999Z" },
    { from: "1970-01-01T00:00:00Z", to: "9999-12-31T23:59:59.999Z", by: "hour" },
  ],
])("the usage that is asked for by %o is that of %o", (query, usage) => {
  expect(UsageQuery.parse(query)).toEqual(usage);
});

test.each(["from", "to"])("%s may not lie before 1970", (end) => {
  const { error } = UsageQuery.safeParse({ [end]: "1969-12-31T23:59:59.999Z" });
  expect(error?.issues).toMatchObject([{ path: [end], message: "may not lie before 1970" }]);
});

test.each([
  { from: "2026-03-01" },
  { from: "2026-03-01T12:00:00" },
  { from: "2026-03-01T12:00:00+01:00" },
  { to: "2026-02-30T12:00:00Z" },
  { to: "10000-01-01T00:00:00Z" },
  { to: "now" },
  { by: "week" },
  { by: "" },
  { since: "2026-03-01T12:00:00Z" },
])("usage by %o is refused", (query) => {
  expect(UsageQuery.safeParse(query).success).toBe(false);
});
