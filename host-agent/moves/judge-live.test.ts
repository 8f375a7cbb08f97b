import { expect, test } from "vitest";
import { LIVE_ENDS, type LiveEnd } from "#host-agent/drivers/move-calls.ts";
import { judgeLive } from "./judge-live.ts";

const DESTINATIONS = ["none", "off", "moving", "paused", "running"] as const;

/** By what the source shows, with each of these at the destination. */
test.each([
  ["running", "rolled_back rolled_back rolled_back rolled_back unclear"],
  ["paused", "rolled_back rolled_back rolled_back rolled_back moved"],
  ["off", "rolled_back rolled_back rolled_back rolled_back moved"],
  ["moving", "going_on going_on going_on going_on going_on"],
  ["left", "unclear handed_over going_on handed_over moved"],
  ["unknown", "rolled_back unclear going_on unclear moved"],
  ["none", "unclear unclear unclear unclear moved"],
] as const)("with the source %s the guest is %s", (source, verdicts) => {
  expect(DESTINATIONS.map((destination) => judgeLive(source, destination)).join(" ")).toBe(
    verdicts,
  );
});

const pairs = LIVE_ENDS.flatMap((source) =>
  LIVE_ENDS.map((destination) => ({ source, destination, is: judgeLive(source, destination) })),
);
const judged = (verdict: string) => pairs.filter(({ is }) => is === verdict);
const among = (...ends: LiveEnd[]) => new Set<LiveEnd>(ends);

test("a guest that may run at an end is never given to the other", () => {
  expect(pairs).toHaveLength(LIVE_ENDS.length ** 2);
  // Else the source's copy would be released under its guest.
  for (const { source, destination } of judged("moved"))
    expect([source === "running" || source === "moving", destination]).toEqual([false, "running"]);
  // Else it would be started, or resumed, beside the one that runs.
  for (const { destination } of judged("rolled_back")) expect(destination).not.toBe("running");
});

test("what came to the destination is let run only where the source's hypervisor says that it handed it over", () => {
  const whole = among("off", "left", "unknown", "paused");
  for (const { source, destination } of judged("handed_over")) {
    expect(source).toBe("left");
    expect(whole).toContain(destination);
  }
});

test("one that the source's hypervisor handed over is never brought back there", () => {
  for (const { source } of judged("rolled_back")) expect(source).not.toBe("left");
});
