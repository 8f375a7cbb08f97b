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
  // enroll, cordon, drain, begin_maintenance, activate, retire
  ["enrolling", ["active", "refused", "refused", "refused", "refused", "retired"]],
  ["active", ["active", "cordoned", "draining", "maintenance", "active", "refused"]],
  ["cordoned", ["cordoned", "cordoned", "draining", "maintenance", "active", "retired"]],
  ["draining", ["draining", "cordoned", "draining", "maintenance", "active", "retired"]],
  ["maintenance", ["maintenance", "cordoned", "refused", "maintenance", "active", "retired"]],
  ["retired", ["refused", "refused", "refused", "refused", "refused", "retired"]],
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

  test("leads from the first state to each", () => {
    expect(HOST_STATES.filter((state) => !reached("enrolling").has(state))).toEqual([]);
  });

  test("leads from each state to the end, and from there nowhere", () => {
    for (const state of HOST_STATES) expect(reached(state)).toContain("retired");
    expect([...reached("retired")]).toEqual(["retired"]);
  });
});
