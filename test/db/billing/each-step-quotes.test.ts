import { v7 } from "uuid";
import { afterAll, beforeAll, expect, test } from "vitest";
import { quoteResize } from "#commands/billing/quote-resize.ts";
import { toQuotedView } from "#functions/quote-views.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import { aLargePlan, aVmJustMade } from "./resize-builders.ts";

/* 6a 2: a quote, cut short. No month passes here: renewals of VMs of before would show as differences. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

test("a quote is made once, at whichever step it is cut short and asked for again by the same key", async () => {
  const faults = await runEachStep(cp, {
    arrange: async () => {
      const vm = await aVmJustMade(cp);
      const { id: planId } = await aLargePlan(cp);
      return { vm, planId, key: v7() };
    },
    act: ({ vm, planId, key }) =>
      quoteResize(
        cp.deps,
        {
          who: vm.world.buyer,
          vmId: vm.vmId,
          wanted: { planId, keepDisk: false },
          key: { accountId: vm.world.buyer.accountId, key, requestHash: "same" },
        },
        toQuotedView,
      ),
    emits: [],
  });
  expect(differencesOf(faults)).toEqual([]);
  expect(faults.undisturbed.filter((line) => line.startsWith("resize_quotes "))).toHaveLength(1);
});
