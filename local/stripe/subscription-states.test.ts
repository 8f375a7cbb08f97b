import { expect, test } from "vitest";
import { SUBSCRIPTION_MOVES, SUBSCRIPTION_STATES } from "./subscription-states.ts";

test("every state is reached from the two beginnings, and the two ends lead nowhere", () => {
  const reached = new Set<string>(["incomplete", "trialing"]);
  for (const state of SUBSCRIPTION_STATES)
    for (const next of Object.values(SUBSCRIPTION_MOVES[state]))
      if (reached.has(state)) reached.add(next);
  expect([...reached].toSorted()).toEqual(SUBSCRIPTION_STATES.toSorted());
  expect([SUBSCRIPTION_MOVES.canceled, SUBSCRIPTION_MOVES.incomplete_expired]).toEqual([{}, {}]);
});
