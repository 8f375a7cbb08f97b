import { expect, test } from "vitest";
import { assertNever, ok, refuse } from "./result.ts";

test("an answer is told apart from a refusal", () => {
  expect(ok({ id: "vm-1" })).toEqual({ ok: true, value: { id: "vm-1" } });
  expect(refuse("vm_locked", "an action runs")).toEqual({
    ok: false,
    error: { code: "vm_locked", detail: "an action runs" },
  });
});

test("a case that nobody thought of throws, and says which", () => {
  // By reflection, since the compiler lets nobody come this far.
  const meet = (value: unknown): unknown => Reflect.apply(assertNever, undefined, [value]);
  expect(() => meet({ kind: "of tomorrow" })).toThrow('unreachable: {"kind":"of tomorrow"}');
});
