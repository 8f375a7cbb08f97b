import { describe, expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import {
  decideTakePassword,
  INITIAL_PASSWORD_LIFE_MS,
  INITIAL_PASSWORD_COMMANDS,
  INITIAL_PASSWORD_MOVES,
  INITIAL_PASSWORD_STATES,
  nextInitialPasswordState,
  toInitialPassword,
  type InitialPassword,
} from "./initial-password.ts";

const password = (over: Partial<InitialPassword> = {}): InitialPassword => ({
  vmId: "vm",
  state: "for_customer",
  sealed: "sealed",
  expiresAt: minutesAfter(1),
  ...over,
});
const WINDOWS = { os: "windows", rootPassword: false, seen: true } as const;
const codeOf = (...asked: Parameters<typeof decideTakePassword>) => {
  const decided = decideTakePassword(...asked);
  return decided.ok ? decided.value.sealed : decided.error.code;
};

describe("the table of an initial password's moves", () => {
  test("reaches every state, and each way ends where nothing holds it until another is made", () => {
    const seen = new Set<(typeof INITIAL_PASSWORD_STATES)[number]>(["for_host"]);
    for (const state of seen)
      for (const next of Object.values(INITIAL_PASSWORD_MOVES[state])) seen.add(next);
    expect([...seen].toSorted()).toEqual(INITIAL_PASSWORD_STATES.toSorted());
    for (const ended of ["taken", "expired", "withdrawn"] as const)
      for (const command of INITIAL_PASSWORD_COMMANDS)
        expect(nextInitialPasswordState(ended, command)).toBe(
          command === "renew" ? "for_host" : undefined,
        );
  });

  test("gives nobody a password that its host may still need", () => {
    expect(nextInitialPasswordState("for_host", "take")).toBeUndefined();
  });
});

describe("taking an initial password", () => {
  test("gives what is sealed, while it lasts", () => {
    expect(codeOf(WINDOWS, password(), AT)).toBe("sealed");
  });

  test.each([
    ["password_not_ready", password({ state: "for_host" })],
    ["password_already_taken", password({ state: "taken", sealed: null })],
    ["password_expired", password({ state: "expired", sealed: null })],
    ["no_initial_password", password({ state: "withdrawn", sealed: null })],
    ["password_expired", password({ expiresAt: AT })],
    // Whatever is left of it: one that was given up is not given out, nor is one that is no more.
    ["password_expired", password({ state: "expired" })],
    ["password_expired", password({ sealed: null })],
    ["password_expired", password({ state: "for_host", expiresAt: AT })],
  ] as const)("is refused with %s", (code, held) => {
    expect(codeOf(WINDOWS, held, AT)).toBe(code);
  });

  test("of a VM that its host has not made yet is too early, if it will have one at all", () => {
    expect(codeOf({ os: "windows", rootPassword: false, seen: false }, undefined, AT)).toBe(
      "password_not_ready",
    );
    expect(codeOf(WINDOWS, undefined, AT)).toBe("no_initial_password");
    expect(codeOf({ os: "linux", rootPassword: false, seen: false }, undefined, AT)).toBe(
      "no_initial_password",
    );
  });
});

test("a password that nobody takes lies for a week", () => {
  expect(new Date(+AT + INITIAL_PASSWORD_LIFE_MS)).toEqual(minutesAfter(7 * 1440));
});

test("a password keeps Windows' complexity rule whatever the secret is", () => {
  for (const secret of [
    "aaaaaaaaaaaaaaaaaaaaaa",
    "0000000000000000000000",
    "----------------------",
  ])
    for (const kind of [/[A-Z]/, /[a-z]/, /\d/, /[^A-Za-z0-9]/])
      expect(toInitialPassword(secret)).toMatch(kind);
});
