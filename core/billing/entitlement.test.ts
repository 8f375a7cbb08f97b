import { expect, test } from "vitest";
import { aSubscription, AT, minutesAfter } from "#test/builders.ts";
import { ENTITLEMENT_GRACE_MS, entitledUntil } from "./entitlement.ts";

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

test.each(["past_due", "paused", "a_status_of_next_year"])("%s leaves what was paid", (status) => {
  expect(entitledUntil(aSubscription({ status, paidUntil }), paidUntil, AT)).toEqual(paidUntil);
});
