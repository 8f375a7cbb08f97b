import { expect, test } from "vitest";
import { SCOPES } from "#core/accounts/accounts.ts";
import { withField } from "#test/harness/with-field.ts";
import { CreateToken } from "./accounts.ts";

const TOKEN = { name: "deploys", scopes: ["vms:read", "orders:read"], expiresInDays: 30 };

test.each<[string, unknown]>([
  ["name", "n".repeat(60)],
  ["scopes", ["staff:write"]],
  ["scopes", SCOPES],
  ["expiresInDays", 1],
  ["expiresInDays", 3650],
  // It never ends.
  ["expiresInDays", undefined],
])("a token may be asked for with %s of %j", (field, value) => {
  const token = withField(TOKEN, field, value);
  expect(CreateToken.parse(token)).toEqual(token);
});

test.each<[string, unknown]>([
  ["name", ""],
  ["name", "n".repeat(61)],
  ["name", undefined],
  ["scopes", []],
  ["scopes", ["vms:destroy"]],
  ["scopes", "vms:read"],
  ["scopes", undefined],
  ["expiresInDays", 0],
  ["expiresInDays", 0.5],
  ["expiresInDays", 3651],
  ["expiresInDays", null],
  ["enabled", true],
])("a token may not be asked for with %s of %j", (field, value) => {
  expect(CreateToken.safeParse(withField(TOKEN, field, value)).success).toBe(false);
});
