import { describe, expect, test } from "vitest";
import { aSubscription, AT, minutesAfter } from "#test/builders.ts";
import { ENTITLEMENT_GRACE_MS, entitledUntil, granted, runsUntil } from "./entitlement.ts";

const DAY = 1440;
const paidUntil = minutesAfter(10 * DAY);

test("a paid period entitles to its end", () => {
  expect(entitledUntil(aSubscription({ paidUntil }), null, AT)).toEqual(paidUntil);
});

test("a period that Stripe has moved on to and not charged adds nothing", () => {
  // While the renewal is a draft, `paidUntil` is the end of the period before it.
  const moved = aSubscription({ status: "active", paidUntil: AT });
  expect(entitledUntil(moved, AT, minutesAfter(30))).toEqual(AT);
});

test("a renewal that is paid moves the end on", () => {
  expect(entitledUntil(aSubscription({ paidUntil }), minutesAfter(DAY), AT)).toEqual(paidUntil);
});

test("the grace past it is three days", () => {
  expect(minutesAfter(3 * DAY)).toEqual(new Date(+AT + ENTITLEMENT_GRACE_MS));
});

test("an older look takes nothing back", () => {
  const older = aSubscription({ paidUntil });
  expect(entitledUntil(older, minutesAfter(40 * DAY), AT)).toEqual(minutesAfter(40 * DAY));
});

test.each(["canceled", "incomplete_expired", "unpaid"])(
  "%s takes back what is still ahead, and only that",
  (status) => {
    expect(entitledUntil(aSubscription({ status, paidUntil }), paidUntil, AT)).toEqual(AT);
    const past = minutesAfter(-DAY);
    expect(entitledUntil(aSubscription({ status, paidUntil: past }), past, AT)).toEqual(past);
  },
);

test("an end that is told of again gives nothing more, however much of its period is left", () => {
  const ended = aSubscription({ status: "canceled", paidUntil });
  const until = entitledUntil(ended, paidUntil, AT);
  expect(entitledUntil(ended, until, minutesAfter(60))).toEqual(until);
});

test.each(["past_due", "paused", "a_status_of_next_year"])("%s leaves what was paid", (status) => {
  expect(entitledUntil(aSubscription({ status, paidUntil }), paidUntil, AT)).toEqual(paidUntil);
});

// 6a item 6
describe("how long a host lets a VM run", () => {
  const day = (n: number) => new Date(+AT + n * 24 * 60 * 60_000);
  const paid = {
    entitledUntil: day(10),
    grantedDays: 0,
    grantedUntil: null,
    neverSuspendUntil: null,
  };

  test("is what is paid, while staff say nothing", () => {
    expect(runsUntil(paid)).toEqual(day(10));
  });

  test("is by what staff granted longer, whatever is paid after it", () => {
    const more = { ...paid, ...granted({ ...paid, until: runsUntil(paid) }, 5, AT) };
    expect(runsUntil(more)).toEqual(day(15));
    expect(runsUntil({ ...more, entitledUntil: day(40) })).toEqual(day(45));
  });

  test("begins with the grant where the lease had ended", () => {
    const over = { ...paid, entitledUntil: day(-20) };
    const more = { ...over, ...granted({ ...over, until: runsUntil(over) }, 5, AT) };
    expect(runsUntil(more)).toEqual(day(5));
    const twice = { ...more, ...granted({ ...more, until: runsUntil(more) }, 2, day(1)) };
    expect(runsUntil(twice)).toEqual(day(7));
    expect(runsUntil({ ...twice, entitledUntil: day(11) })).toEqual(day(18));
  });

  test("reaches to the end of a mark, and no longer", () => {
    expect(runsUntil({ ...paid, neverSuspendUntil: day(30) })).toEqual(day(30));
    expect(runsUntil({ ...paid, neverSuspendUntil: day(3) })).toEqual(day(10));
  });
});
