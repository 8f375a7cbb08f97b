import { describe, expect, test } from "vitest";
import {
  HOST_COMMANDS,
  HOST_MOVES,
  HOST_STATES,
  nextHostState,
  type HostState,
} from "./host-state.ts";

/* 6b item 4: the states of hosts, with every move between them and its refusals. */

const moves = HOST_STATES.map(
  (from) =>
    [from, HOST_COMMANDS.map((command) => nextHostState(from, command) ?? "refused")] as const,
);

test.each([
  // enroll, cordon, begin_maintenance, activate, retire
  ["enrolling", ["active", "refused", "refused", "refused", "retired"]],
  ["active", ["active", "cordoned", "maintenance", "active", "refused"]],
  ["cordoned", ["cordoned", "cordoned", "maintenance", "active", "retired"]],
  ["draining", ["draining", "cordoned", "maintenance", "active", "retired"]],
  ["maintenance", ["maintenance", "cordoned", "maintenance", "active", "retired"]],
  ["retired", ["refused", "refused", "refused", "refused", "retired"]],
] as const)("of a host that is %s, each command leads to %j", (from, to) => {
  expect(moves).toContainEqual([from, to]);
});

describe("the table", () => {
  const reached = (from: HostState): ReadonlySet<HostState> => {
    const seen = new Set<HostState>([from]);
    // What is added while it is walked is walked too.
    for (const state of seen)
      for (const to of Object.values<HostState>(HOST_MOVES[state])) seen.add(to);
    return seen;
  };

  test("leads from the first state to each but draining, which begins with the moves of VMs", () => {
    expect(HOST_STATES.filter((state) => !reached("enrolling").has(state))).toEqual(["draining"]);
  });

  test("leads from each state to the end, and from there nowhere", () => {
    for (const state of HOST_STATES) expect(reached(state)).toContain("retired");
    expect([...reached("retired")]).toEqual(["retired"]);
  });
});
