import { describe, expect, it } from "vitest";
import { isEasilyGuessed, passwordFault } from "./passwords.ts";

/* 4b B5: common and blank passwords are refused. */
describe("a password that is guessed early", () => {
  it.each([
    ["blanks", " ".repeat(12)],
    ["blanks of other kinds", "\u2003".repeat(6) + "\t\n ".repeat(3)],
    ["nothing", ""],
    ["one character", "aaaaaaaaaaaa"],
    ["four characters", "abcdabcdabcd"],
    ["figures in a row", "1234567890"],
    ["figures in a row, backwards", "9876543210"],
    ["keys in a row", "qwertyuiop"],
    ["keys in a row, by columns", "1q2w3e4r5t"],
    ["letters in a row, again", "abcdefabcdef"],
    ["a word with figures", "password123"],
    ["a word with a capital, figures and a sign", "Password2026!"],
    ["figures before it", "12345password"],
    ["a word written with figures", "P@ssw0rd2024"],
    ["a word said twice", "passwordpassword"],
    ["two words", "welcomeadmin"],
    ["two words with a sign between", "Summer-Winter"],
    ["full-width letters", "ｐａｓｓｗｏｒｄ１２３"],
    ["its own address", "ada.lovelace@example.com"],
    ["the first part of its address", "Ada.Lovelace99"],
    ["its name", "ada lovelace"],
  ])("is %s", (_what, password) => {
    expect(isEasilyGuessed(password, ["ada.lovelace@example.com", "Ada Lovelace"])).toBe(true);
  });

  it.each([
    "correct horse battery",
    "berth-on-this-machine",
    "ten chars.",
    "tr0ub4dor&3x",
    "8374629105",
    "a word password in it",
    "abcdefghijx9",
    "01966d3e-7d4c-7b5e",
  ])("is not %s", (password) => {
    expect(isEasilyGuessed(password, ["ada@example.com", ""])).toBe(false);
  });

  it("has five different characters at least", () => {
    expect(isEasilyGuessed("xkzvxkzvqxkz")).toBe(false);
    expect(isEasilyGuessed("xkzvxkzvvxkz")).toBe(true);
  });
});

describe("a password to choose", () => {
  const LONG = "correct horse battery ".repeat(6);
  it("has 10 to 128 characters, and is none that is guessed early", () => {
    expect(passwordFault("4 horses!!", [])).toBeUndefined();
    expect(passwordFault("4 horses!", [])).toBe("a password has 10 to 128 characters");
    expect(passwordFault(LONG.slice(0, 128), [])).toBeUndefined();
    expect(passwordFault(LONG.slice(0, 129), [])).toBe("a password has 10 to 128 characters");
    expect(passwordFault("password123", [])).toContain("first that are guessed");
    expect(passwordFault("ada@example.com", ["ada@example.com"])).toContain(
      "first that are guessed",
    );
  });
});
