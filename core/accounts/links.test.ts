import { expect, it } from "vitest";
import { LINK_BYTES, LINK_LIVES_MS, mailOf } from "./links.ts";

const OF = { publicUrl: "https://api.example.com", secret: "a-Secret_1" };

it.each([
  ["prove_email", "Berth: Is this your address?", "/account/verify-email", "within a day"],
  ["reset_password", "Berth: A new password", "/account/reset-password", "within an hour"],
] as const)(
  "a mail to %s says what it is for, until when, and where",
  (kind, subject, at, until) => {
    const mail = mailOf(kind, "ada@example.com", OF);
    expect(mail).toMatchObject({ to: "ada@example.com", subject });
    // The secret stands behind `#`, alone on its line with the page.
    expect(mail.text.split("\n")[2]).toBe(`https://api.example.com${at}#a-Secret_1`);
    expect(mail.text.split("\n")[0]).toContain(until);
    expect(mail.text).toMatch(/\n\nIf it was not you, there is nothing to do.*\n$/);
  },
);

it("a link lives as long as its mail says, and is asked for five times an hour", () => {
  expect(LINK_LIVES_MS).toEqual({ prove_email: 86_400_000, reset_password: 3_600_000 });
  expect(LINK_BYTES).toBe(32);
});
