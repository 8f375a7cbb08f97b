import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { minutesAfter } from "#test/builders.ts";
import { formatsOf } from "./letter.ts";
import { localeOf } from "./locale.ts";
import { nextTryAt } from "./mail.ts";

describe("a mail that is not taken", () => {
  test("is tried after 1, 2, 4 minutes and so on, and every six hours in the end", () => {
    const waits = Array.from({ length: 11 }, (_, n) => {
      const next = nextTryAt({ createdAt: minutesAfter(0), tries: n + 1 }, minutesAfter(5));
      return (+(next ?? 0) - +minutesAfter(5)) / 60_000;
    });
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]);
  });

  // Found by the simulator: while nobody had swept for a month, one failure was enough.
  test("is given up after three days and fifteen tries, and not by one of them alone", () => {
    const createdAt = minutesAfter(0);
    const days = (n: number) => minutesAfter(n * 24 * 60);
    expect(nextTryAt({ createdAt, tries: 400 }, days(2.99))).not.toBeNull();
    expect(nextTryAt({ createdAt, tries: 14 }, days(30))).not.toBeNull();
    expect(nextTryAt({ createdAt, tries: 15 }, days(3))).toBeNull();
  });

  test("has been tried fifteen times before three days are over", () => {
    const createdAt = minutesAfter(0);
    let now = createdAt;
    for (let tries = 1; tries < 15; tries++) now = nextTryAt({ createdAt, tries }, now) ?? now;
    expect(+now - +createdAt).toBeLessThan(2 * 24 * 60 * 60_000);
  });
});

describe("the language of an Accept-Language header", () => {
  test.each([
    [undefined, "en"],
    ["", "en"],
    ["ru", "ru"],
    ["ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"],
    ["de, ru;q=0.5, en;q=0.8", "en"],
    ["de, ru;q=0.5, fr", "ru"],
    ["en;q=0, ru;q=0.1", "ru"],
    ["RU", "ru"],
    ["rue", "en"],
    ["*", "en"],
    ["ru;q=much, en", "en"],
  ] as const)("%s is %s", (header, locale) => {
    expect(localeOf(header)).toBe(locale);
  });

  test("is one of ours whatever is sent", () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        expect(["en", "ru"]).toContain(localeOf(header));
      }),
    );
  });
});

describe("Russian", () => {
  const { count, money } = formatsOf("ru");
  const minutes = { one: "минута", few: "минуты", other: "минут" };
  test.each([
    [1, "1 минута"],
    [2, "2 минуты"],
    [5, "5 минут"],
    [11, "11 минут"],
    [21, "21 минута"],
    [112, "112 минут"],
  ])("counts %i as it is said", (n, said) => {
    expect(count(n, minutes)).toBe(said);
  });

  test("writes sums that no floating-point number holds", () => {
    const said = money({ minor: "900719925474099301", currency: "eur" });
    expect(said.replaceAll(/\s/g, "")).toBe("9007199254740993,01€");
  });
});
