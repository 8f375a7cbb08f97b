import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { minutesAfter } from "#test/builders.ts";
import {
  decideWindow,
  isToldOtherwise,
  noticeAt,
  noticeKind,
  type MaintenanceWindow,
} from "./maintenance.ts";

/* 6b item 4: a host's maintenance, and how customers hear of it. */

const NOW = minutesAfter(0);
const hours = (n: number) => minutesAfter(n * 60);
const aWindow = (over: Partial<MaintenanceWindow> = {}): MaintenanceWindow => ({
  id: "window",
  hostId: "host",
  kind: "maintenance",
  startsAt: hours(60),
  endsAt: hours(62),
  noticeHours: 12,
  revision: 3,
  begunAt: null,
  endedAt: null,
  cancelledAt: null,
  ...over,
});
const codeOf = (decided: ReturnType<typeof decideWindow>) =>
  decided.ok ? decided.value : decided.error.code;

describe("a window", () => {
  test("is announced two days before, unless staff say otherwise", () => {
    const asked = { startsAt: hours(50), endsAt: hours(51) };
    expect(codeOf(decideWindow(null, asked, NOW))).toEqual({ ...asked, noticeHours: 48 });
    expect(noticeAt({ startsAt: hours(50), noticeHours: 48 })).toEqual(hours(2));
  });

  test.each([
    ["ends before it begins", null, { startsAt: hours(51), endsAt: hours(50) }],
    [
      "is over already",
      aWindow({ begunAt: hours(-3), startsAt: hours(-3) }),
      { endsAt: hours(-1) },
    ],
    ["takes longer than three days", null, { startsAt: hours(50), endsAt: hours(123) }],
    ["is a quarter of a year away", null, { startsAt: hours(2161), endsAt: hours(2162) }],
    [
      "has begun, and is to begin at another time",
      aWindow({ begunAt: hours(-1), startsAt: hours(-1) }),
      { startsAt: hours(50), endsAt: hours(51) },
    ],
  ])("that %s is refused", (_, open, asked) => {
    expect(codeOf(decideWindow(open, asked, NOW))).toBe("maintenance_invalid");
  });

  test.each([
    ["at once", null, { startsAt: undefined, endsAt: hours(1) }],
    ["sooner than it is announced", null, { startsAt: hours(47), endsAt: hours(49) }],
    ["moved to sooner than it is announced", aWindow(), { startsAt: hours(11), endsAt: hours(13) }],
  ])("that begins %s has too short a notice, and may have a shorter one", (_, open, asked) => {
    expect(codeOf(decideWindow(open, asked, NOW))).toBe("notice_too_short");
    expect(codeOf(decideWindow(open, { ...asked, noticeHours: 0 }, NOW))).toMatchObject({
      startsAt: asked.startsAt ?? NOW,
      noticeHours: 0,
    });
  });

  test("may be called for ten minutes after its dry run", () => {
    const asked = { startsAt: hours(48), endsAt: hours(49) };
    expect(codeOf(decideWindow(null, asked, minutesAfter(10)))).toMatchObject(asked);
    expect(codeOf(decideWindow(null, asked, minutesAfter(11)))).toBe("notice_too_short");
  });

  test("that is planned keeps what is left out, and its end moves whenever", () => {
    const late = minutesAfter(59 * 60);
    expect(codeOf(decideWindow(aWindow(), { endsAt: hours(63) }, late))).toEqual({
      startsAt: hours(60),
      endsAt: hours(63),
      noticeHours: 12,
    });
  });

  test("whatever is asked for, ends later than it begins, within three days, and not in the past", () => {
    const at = fc.integer({ min: -100, max: 3000 }).map(hours);
    const asked = fc.record({
      startsAt: fc.option(at, { nil: undefined }),
      endsAt: at,
      noticeHours: fc.option(fc.integer({ min: 0, max: 720 }), { nil: undefined }),
    });
    const open = fc.constantFrom(
      null,
      aWindow(),
      aWindow({ begunAt: hours(-1), startsAt: hours(-1) }),
    );
    fc.assert(
      fc.property(open, asked, (before, wanted) => {
        const decided = decideWindow(before, wanted, NOW);
        if (!decided.ok) return;
        const { startsAt, endsAt } = decided.value;
        expect(+endsAt).toBeGreaterThan(Math.max(+startsAt, +NOW));
        expect(+endsAt - +startsAt).toBeLessThanOrEqual(72 * 3_600_000);
        expect(startsAt).toEqual(before?.begunAt ? before.startsAt : startsAt);
      }),
    );
  });
});

describe("a notice", () => {
  test("says what has changed since an earlier one, and nothing of what nobody was told", () => {
    const cancelled = aWindow({ cancelledAt: NOW });
    expect([
      noticeKind(aWindow(), false),
      noticeKind(aWindow(), true),
      noticeKind(cancelled, true),
      noticeKind(cancelled, false),
    ]).toEqual(["announced", "moved", "cancelled", null]);
    expect(isToldOtherwise(aWindow(), aWindow({ noticeHours: 1 }))).toBe(false);
    expect(isToldOtherwise(aWindow(), aWindow({ endsAt: hours(64) }))).toBe(true);
    expect(isToldOtherwise(aWindow(), aWindow({ startsAt: hours(59) }))).toBe(true);
  });
});
