import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSealer } from "#adapters/sealer.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const sealer = createSealer(SECRET);
/** What OpenSSL and we say; no answer is the point. */
const REFUSED = /unable to authenticate|not sealed by|Invalid|tag/;

describe("what is sealed", () => {
  test("opens as it was, in its own context", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string(), (text, context) => {
        expect(sealer.open(sealer.seal(text, context), context)).toBe(text);
      }),
    );
  });

  test("does not open in another's name, under another key, or changed anywhere", () => {
    const sealed = sealer.seal("secret", "vm-1");
    expect(() => sealer.open(sealed, "vm-2")).toThrow(REFUSED);
    expect(() => createSealer(`${SECRET}0`).open(sealed, "vm-1")).toThrow(REFUSED);
    for (let at = 0; at < sealed.length; at++) {
      const changed = sealed.slice(0, at) + (sealed[at] === "A" ? "B" : "A") + sealed.slice(at + 1);
      // The last character of base64 may hold bits that mean nothing.
      if (at === sealed.length - 1) continue;
      expect(() => sealer.open(changed, "vm-1")).toThrow(REFUSED);
    }
    for (const cut of ["", "v1.", sealed.slice(0, 20), sealed.slice(0, -2), `${sealed}AAAA`])
      expect(() => sealer.open(cut, "vm-1")).toThrow(REFUSED);
  });

  test("does not open by a part of its seal, which is guessed sooner", () => {
    const bytes = Buffer.from(sealer.seal("", "vm-1").slice(3), "base64url");
    for (const tag of [4, 8, 12, 15]) {
      const cut = `v1.${bytes.subarray(0, 12 + tag).toString("base64url")}`;
      expect(() => sealer.open(cut, "vm-1")).toThrow(REFUSED);
    }
  });

  // Sealed on 2026-11-29: what lies in the database must open after every release.
  test("opens long after", () => {
    const sealed = "v1.rGskg_Oi1ynt72VAl9fTI-ydX3gF1uX8Y0pHxQZ-Sh0UCtVfbn0sjaDPf3vMZw";
    expect(sealer.open(sealed, "vm-1")).toBe("a secret of before");
  });

  test("is another text each time, and does not show what it holds", () => {
    expect(sealer.seal("secret", "vm-1")).not.toBe(sealer.seal("secret", "vm-1"));
    expect(sealer.seal("secret", "vm-1")).not.toContain(
      Buffer.from("secret").toString("base64url"),
    );
  });
});

test("a secret that can be guessed is refused", () => {
  expect(() => createSealer(SECRET.slice(1))).toThrow("too short");
});
