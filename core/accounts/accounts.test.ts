import { describe, expect, test } from "vitest";
import { aPrincipal } from "#test/builders.ts";
import {
  isWriting,
  mayTouch,
  ROLES,
  SCOPES_OF_ROLE,
  SCOPES_OF_STAFF,
  scopesOfSession,
  STAFF_ROLES,
  type Role,
} from "./accounts.ts";

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
        expect(scopesOfSession({ role }, secondFactor)).toEqual(SCOPES_OF_ROLE[role]);
    },
  );

  test("of staff changes things with a second factor only", () => {
    expect(scopesOfSession({ role: "staff", staffRole: "owner" }, true)).toEqual(
      SCOPES_OF_ROLE.staff,
    );
    expect(scopesOfSession({ role: "staff", staffRole: "owner" }, false)).toEqual([
      "orders:read",
      "vms:read",
      "billing:read",
      "staff:read",
      "accounts:read",
      "audit:read",
      "tokens:read",
    ]);
  });

  // 6a item 6
  test.each(STAFF_ROLES)(
    "of staff who are %s changes things with a second factor only",
    (staffRole) => {
      const whose = { role: "staff", staffRole } as const;
      expect(scopesOfSession(whose, true)).toEqual(SCOPES_OF_STAFF[staffRole]);
      expect(scopesOfSession(whose, false).filter(isWriting)).toEqual([]);
    },
  );

  test("of staff without a staff role may do nothing", () => {
    expect(scopesOfSession({ role: "staff" }, true)).toEqual([]);
  });
});
