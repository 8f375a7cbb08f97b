import type { Mutant } from "./plant.ts";

/** Of VMs that are tried: who may, for how long, and what becomes of whom it is refused. */
export const TRIALS: readonly Mutant[] = [
  {
    name: "trial: each customer has as many as they like, and each card",
    file: "db/orders/trials.ts",
    find: 'if (rows.length === 1) return "begun";',
    replace: 'return "begun";',
    plan: "tried-with-a-known-card",
  },
  {
    name: "trial: one that is refused is billed all the same",
    file: "commands/orders/begin-trial.ts",
    find: "subscription === null || hasEnded(subscription.status)",
    replace: "subscription !== null",
    plan: "tried-with-a-known-card",
  },
  {
    name: "trial: one that is refused keeps its place",
    file: "commands/orders/fulfil-order.ts",
    find: "return ok(await expireOrder(tx, order, at, actor, { trial: why }));",
    replace: 'return ok("unchanged");',
    plan: "tried-with-a-known-card",
  },
  {
    name: "trial: runs on as long as what was paid for",
    file: "commands/orders/fulfil-order.ts",
    find: "if (order.trialPolicy !== null) await limitTrialsDebt(tx, order, at.now);",
    replace: "",
    plan: "tried-and-not-paid",
  },
  {
    name: "trial: its end is warned of as of what was paid for",
    file: "commands/billing/dun.ts",
    find: "days: service.suspendDays",
    replace: "days: policy.suspendDays",
    plan: "tried-and-not-paid",
  },
];
