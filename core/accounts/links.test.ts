import { expect, it } from "vitest";
import { LINK_BYTES, LINK_LIVES_MS, linkOf } from "./links.ts";

it.each([
  ["prove_email", "/account/verify-email"],
  ["reset_password", "/account/reset-password"],
  ["change_email", "/account/change-email"],
] as const)("the secret of a link to %s stands behind `#`, alone", (kind, at) => {
  const of = { publicUrl: "https://api.example.com", secret: "a-Secret_1" };
  expect(linkOf(kind, of)).toBe(`https://api.example.com${at}#a-Secret_1`);
});

it("a link lives as long as its mail says, and is asked for five times an hour", () => {
  expect(LINK_LIVES_MS).toEqual({
    prove_email: 86_400_000,
    reset_password: 3_600_000,
    change_email: 3_600_000,
  });
  expect(LINK_BYTES).toBe(32);
});
