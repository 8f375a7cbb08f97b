import { expect, test } from "vitest";
import { createPlaneTime } from "./plane-time.ts";

/* 4b B8: the control plane's time, whatever the host's clock is set to. */

const AT = Date.parse("2026-03-01T12:00:00.000Z");
const HOUR = 3_600_000;

/** A host whose clock is off by `offMs`, with the control plane's true time beside it. */
function aHost(offMs: number) {
  let trueMs = AT;
  let off = offMs;
  const told: string[] = [];
  const time = createPlaneTime({
    clock: { now: () => new Date(trueMs + off), sleep: async () => undefined },
    uptimeMs: () => trueMs - AT,
    log: {
      info: (event, fields) => void told.push(`${event} ${String(fields["offset_seconds"])}`),
      error: (event, fields) => void told.push(`${event} ${String(fields["offset_seconds"])}`),
    },
  });
  return {
    time,
    told,
    trueTime: () => new Date(trueMs),
    pass: (ms: number) => (trueMs += ms),
    setClock: (ms: number) => (off = ms),
    hears: () => time.heard(new Date(trueMs)),
  };
}

test("is the host's own before the first answer", () => {
  const { time, trueTime } = aHost(2 * HOUR);
  expect(time.now()).toEqual(new Date(+trueTime() + 2 * HOUR));
  expect(time.offsetSeconds()).toBeNull();
});

test.each([2 * HOUR, -2 * HOUR, 40 * 24 * HOUR, -400 * 24 * HOUR])(
  "is what an answer said and what has passed since, for a clock that is off by %d ms",
  (offMs) => {
    const host = aHost(offMs);
    host.hears();
    expect(host.time.now()).toEqual(host.trueTime());
    expect(host.time.offsetSeconds()).toBe(offMs / 1000);
    host.pass(50 * HOUR);
    // Nor does it move when somebody sets the host's clock.
    host.setClock(-7 * HOUR);
    expect(host.time.now()).toEqual(host.trueTime());
  },
);

test("is the host's own as long as that is as good as what a header tells", () => {
  const host = aHost(4000);
  host.hears();
  expect(host.time.now()).toEqual(new Date(+host.trueTime() + 4000));
  expect(host.told).toEqual([]);
});

test.each([6000, -23 * HOUR])("signs with it when the clock is off by %d ms", (offMs) => {
  const host = aHost(offMs);
  host.hears();
  host.pass(HOUR);
  expect(host.time.signingNow()).toEqual(host.trueTime());
});

test("signs with the host's own clock where that is off by more than a day, and says so", () => {
  const host = aHost(25 * HOUR);
  host.hears();
  expect(host.time.signingNow()).toEqual(new Date(+host.trueTime() + 25 * HOUR));
  expect(host.told).toEqual(["clock_off_too_far 90000"]);
});

test("says once that the clock is off, and once that it is good again", () => {
  const host = aHost(90_000);
  host.hears();
  host.hears();
  host.setClock(0);
  host.hears();
  host.hears();
  expect(host.told).toEqual(["clock_off_corrected 90", "clock_good_again 0"]);
});

test("is not moved by a header that is no time", () => {
  const host = aHost(HOUR);
  host.time.heard(new Date("yesterday"));
  expect(host.time.offsetSeconds()).toBeNull();
});
