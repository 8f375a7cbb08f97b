import { describe, expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import { endAtProvider } from "./end-at-provider.ts";

/* 6a: an end that is planned at the provider, in its own portal. */

const GOES_ON = { endWanted: false, endUntold: false, cancelAt: null };
const ENDS = { endWanted: true, endUntold: false, cancelAt: AT };
const later = minutesAfter(5);

describe("an end at the provider", () => {
  test.each([
    ["is planned", GOES_ON, { status: "active", cancelAt: AT }, { endWanted: true, cancelAt: AT }],
    ["is moved", ENDS, { status: "active", cancelAt: later }, { endWanted: true, cancelAt: later }],
    ["is undone", ENDS, { status: "active", cancelAt: null }, { endWanted: false, cancelAt: null }],
    [
      "has come, though nobody told of the plan",
      GOES_ON,
      { status: "canceled", cancelAt: AT },
      { endWanted: true, cancelAt: AT },
    ],
    ["is known", ENDS, { status: "active", cancelAt: AT }, null],
    ["is none", GOES_ON, { status: "active", cancelAt: null }, null],
    ["was at once", GOES_ON, { status: "canceled", cancelAt: null }, null],
    ["is not moved by being over before", ENDS, { status: "canceled", cancelAt: later }, null],
    ["is not taken back by being over", ENDS, { status: "canceled", cancelAt: null }, null],
    [
      "does not count before our own word has its answer",
      { ...GOES_ON, endUntold: true },
      { status: "active", cancelAt: AT },
      null,
    ],
  ])("%s", (_, held, provider, told) => {
    expect(endAtProvider(held, provider, { isProtected: false })).toEqual(told);
  });

  test("does not count of what is protected from deletion; taking it back does", () => {
    const isProtected = { isProtected: true };
    expect(endAtProvider(GOES_ON, { status: "active", cancelAt: AT }, isProtected)).toBeNull();
    const back = { endWanted: false, cancelAt: null };
    expect(endAtProvider(ENDS, { status: "active", cancelAt: null }, isProtected)).toEqual(back);
  });
});
