import { expect, test } from "vitest";
import { decideWaysIn } from "./ways-in.ts";

const none: readonly string[] = [];

// 4b A8
test.each([
  { os: "linux", keys: ["a key"], password: false, code: undefined },
  { os: "linux", keys: none, password: true, code: undefined },
  { os: "linux", keys: none, password: false, code: "ssh_key_missing" },
  { os: "freebsd", keys: ["a key"], password: false, code: undefined },
  { os: "freebsd", keys: none, password: false, code: "ssh_key_missing" },
  { os: "freebsd", keys: ["a key"], password: true, code: "password_unavailable" },
  { os: "windows", keys: none, password: false, code: undefined },
  { os: "windows", keys: ["a key"], password: true, code: undefined },
] as const)("$os with $keys, password: $password: $code", ({ os, keys, password, code }) => {
  const decided = decideWaysIn(os, { sshKeys: keys, password });
  expect(decided.ok ? undefined : decided.error.code).toBe(code);
});
