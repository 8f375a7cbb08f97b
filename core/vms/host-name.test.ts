import { describe, expect, test } from "vitest";
import { foldHostName } from "./host-name.ts";

describe("a host name", () => {
  test.each([
    "a",
    "web-1",
    "web-1.example.com",
    `${"a".repeat(63)}.example`,
    `${"a.".repeat(126)}a`, // 253 in all
    "1a",
    "xn--bcher-kva.example",
  ])("%s is one as it is", (name) => {
    expect(foldHostName(name)).toBe(name);
  });

  // 4b A8
  test.each([
    ["Web-1.Example.COM", "web-1.example.com"],
    ["web-1.example.com.", "web-1.example.com"],
    [" web-1\n", "web-1"],
    ["Bücher.example", "xn--bcher-kva.example"],
    ["bu\u0308cher.example", "xn--bcher-kva.example"],
    ["例え。テスト", "xn--r8jz45g.xn--zckzah"],
    ["ＷＥＢ-1", "web-1"],
    ["straße.example", "xn--strae-oqa.example"],
  ])("%j is meant as %s", (given, meant) => {
    expect(foldHostName(given)).toBe(meant);
  });

  test.each([
    "",
    ".",
    "-web",
    "web-",
    "web..example",
    "web.example..",
    ".web",
    "web_1",
    "10.0.0.1",
    "１０.0.0.1",
    "０x7f.1",
    "a".repeat(64),
    "é".repeat(64),
    `${"a.".repeat(125)}aaaa`,
    "web 1",
    "web\0",
    "web;reboot",
    "$(reboot)",
    "<web>",
    "wéb/x",
    "wéb:80",
    "a@wéb",
    "wéb%41",
    "🚀",
    "\u202eabc",
    "wéb\u200d",
    `${"é.".repeat(200)}a`,
  ])("%j is none", (name) => {
    expect(foldHostName(name)).toBeUndefined();
  });
});
