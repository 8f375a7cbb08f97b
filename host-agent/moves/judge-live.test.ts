import { expect, test } from "vitest";
import { LIVE_ENDS } from "#host-agent/drivers/move-calls.ts";
import { judgeLive } from "./judge-live.ts";

/** Source, destination. All sixteen. */
test.each([
  ["running", "none", "rolled_back"],
  ["running", "off", "rolled_back"],
  ["running", "paused", "going_on"],
  ["running", "running", "unclear"],
  ["paused", "none", "rolled_back"],
  ["paused", "off", "unclear"],
  ["paused", "paused", "going_on"],
  ["paused", "running", "moved"],
  ["off", "none", "rolled_back"],
  ["off", "off", "unclear"],
  ["off", "paused", "going_on"],
  ["off", "running", "moved"],
  ["none", "none", "unclear"],
  ["none", "off", "unclear"],
  ["none", "paused", "unclear"],
  ["none", "running", "moved"],
] as const)(
  "with the source %s and the destination %s the guest is %s",
  (source, destination, is) => {
    expect(judgeLive(source, destination)).toBe(is);
  },
);

const pairs = LIVE_ENDS.flatMap((source) =>
  LIVE_ENDS.map((destination) => ({ source, destination, is: judgeLive(source, destination) })),
);

test("a guest that may run at an end is never given to the other", () => {
  expect(pairs).toHaveLength(16);
  const judged = (verdict: string) => pairs.filter(({ is }) => is === verdict);
  // Else the source's copy would be released under its guest.
  for (const { source, destination } of judged("moved"))
    expect([source === "running", destination]).toEqual([false, "running"]);
  // Else it would be started, or resumed, beside the one that runs.
  for (const { destination } of judged("rolled_back"))
    expect(["none", "off"]).toContain(destination);
});
