import { expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import { vmStatus } from "./status.ts";

const status = (over: Partial<Parameters<typeof vmStatus>[0]>) =>
  vmStatus({
    presence: "present",
    desiredPower: "running",
    observedPower: "running",
    hostLastSeenAt: AT,
    runningAction: null,
    suspended: false,
    lostAt: null,
    now: AT,
    ...over,
  });

test.each([
  { over: {}, is: "running" },
  { over: { observedPower: "off" }, is: "starting" },
  { over: { observedPower: "paused" }, is: "starting" },
  { over: { desiredPower: "off" }, is: "stopping" },
  { over: { desiredPower: "off", observedPower: "off" }, is: "off" },
  // 4b A8: held off by its entitlement, and not on its way up.
  { over: { suspended: true, observedPower: "off" }, is: "suspended" },
  { over: { suspended: true }, is: "stopping" },
  { over: { suspended: true, desiredPower: "off", observedPower: "off" }, is: "off" },
  { over: { suspended: true, observedPower: null }, is: "unknown" },
  { over: { suspended: true, presence: "absent", observedPower: "off" }, is: "deleting" },
  { over: { runningAction: "create", observedPower: null }, is: "initializing" },
  { over: { runningAction: "reboot" }, is: "running" },
  { over: { presence: "absent", runningAction: "delete" }, is: "deleting" },
  { over: { observedPower: null }, is: "unknown" },
  // 5.1: what its host has lost is lost, however old that word is, and whatever else holds of it.
  { over: { lostAt: AT, observedPower: null }, is: "lost" },
  { over: { lostAt: AT, observedPower: "off", suspended: true }, is: "lost" },
  { over: { lostAt: AT, hostLastSeenAt: null }, is: "lost" },
  { over: { lostAt: AT, runningAction: "create", observedPower: null }, is: "lost" },
  { over: { lostAt: AT, presence: "absent" }, is: "deleting" },
  { over: { hostLastSeenAt: null }, is: "unknown" },
  // Five minutes are the most for which what was seen is believed.
  { over: { now: minutesAfter(5) }, is: "running" },
  { over: { now: new Date(+minutesAfter(5) + 1) }, is: "unknown" },
] as const)("a VM with $over is $is", ({ over, is }) => {
  expect(status(over)).toBe(is);
});
