import { describe, expect, it } from "vitest";
import { isEasilyGuessed } from "./passwords.ts";

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
