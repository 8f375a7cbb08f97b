import { describe, expect, test } from "vitest";
import { aPrincipal } from "#test/builders.ts";
import { mayTouch, ROLES, SCOPES_OF_ROLE, scopesOfSession, type Role } from "./accounts.ts";

test.each<{ role: Role; owner: string; may: boolean }>([
  { role: "customer", owner: "ada", may: true },
  { role: "customer", owner: "bob", may: false },
  { role: "integration", owner: "ada", may: true },
  { role: "integration", owner: "bob", may: false },
  { role: "staff", owner: "ada", may: true },
  { role: "staff", owner: "bob", may: true },
])("ada, of role $role, may touch what $owner owns: $may", ({ role, owner, may }) => {
  expect(mayTouch(aPrincipal({ accountId: "ada", role }), owner)).toBe(may);
});

test("only staff may have staff's scopes, and only a billing system may make services", () => {
  const rolesWith = (scope: string) =>
    ROLES.filter((role) => SCOPES_OF_ROLE[role].some((s) => s === scope));
  expect(rolesWith("staff:read")).toEqual(["staff"]);
  expect(rolesWith("staff:write")).toEqual(["staff"]);
  expect(rolesWith("services:write")).toEqual(["integration"]);
  expect(rolesWith("orders:write")).toEqual(["customer"]);
});

/* 4b B5: staff write only with a second factor. */
describe("a log-in", () => {
  test.each(["customer", "integration"] as const)(
    "of a %s may do all that its role may",
    (role) => {
      for (const secondFactor of [false, true])
        expect(scopesOfSession(role, secondFactor)).toEqual(SCOPES_OF_ROLE[role]);
    },
  );

  test("of staff changes things with a second factor only", () => {
    expect(scopesOfSession("staff", true)).toEqual(SCOPES_OF_ROLE.staff);
    expect(scopesOfSession("staff", false)).toEqual([
      "orders:read",
      "vms:read",
      "billing:read",
      "staff:read",
      "tokens:read",
    ]);
  });
});
