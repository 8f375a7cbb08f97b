import type { Mutant } from "./plant.ts";

/** Of what is owed, from the reminder to the deletion, and of VMs that are bought anew. */
export const DUNNINGS: readonly Mutant[] = [
  {
    name: "dunning: what is suspended ends at once",
    file: "core/billing/dunning.ts",
    find: `return after(policy.terminateDays, stateAt, now, { do: "move", to: "ending" });`,
    replace: `return { do: "move", to: "ending" };`,
    plan: "dunned-to-the-end",
  },
  {
    name: "dunning: what has ended is deleted at once",
    file: "core/billing/dunning.ts",
    find: "return after(policy.deleteDays, stateAt, now, then);",
    replace: "return then;",
    plan: "dunned-to-the-end",
  },
  {
    name: "dunning: nobody waits for the reminder",
    file: "core/billing/dunning.ts",
    find: `return seen.isReminded ? { do: "move", to: "reminded" } : soon(now);`,
    replace: `return seen.stopsAt > now ? soon(now) : { do: "move", to: "suspended" };`,
    plan: "dunned-to-the-end",
  },
  {
    name: "dunning: a late reminder leaves less time",
    file: "commands/billing/dun.ts",
    find: "if (until <= hostStopsAt(service)) return;",
    replace: "if (until > hostStopsAt(service)) return;",
    plan: "dunned-to-the-end",
  },
  {
    name: "dunning: nobody is told of anything",
    file: "commands/billing/dun.ts",
    find: "if (kind === undefined) return;",
    replace: "if (kind !== undefined) return;",
    plan: "dunned-to-the-end",
  },
  {
    name: "dunning: its end is decided, and Stripe is not told",
    file: "commands/billing/dun.ts",
    find: "await cancelSubscription(deps, found.subscriptionId);",
    replace: "",
    plan: "dunned-to-the-end",
  },
  {
    name: "dunning: a payment lifts nothing",
    file: "core/billing/dunning.ts",
    find: `if (seen.runsUntil > now) return { do: "close", outcome: "lifted" };`,
    replace: "",
    plan: "dunned-and-paid",
  },
  {
    name: "dunning: goes on for a VM that is to be gone",
    file: "core/billing/dunning.ts",
    find: `if (seen.vmIsToGo) return { do: "close", outcome: "dropped" };`,
    replace: "",
    plan: "deleted-while-dunned",
  },
  {
    name: "revival: the new subscription pays for nothing",
    file: "commands/billing/follow-revival.ts",
    find: "subscriptionId: id,",
    replace: "subscriptionId: service.subscriptionId,",
    plan: "revived",
  },
  {
    name: "revival: what came too late is kept, and goes on",
    file: "commands/billing/follow-revival.ts",
    find: `if (!vm || !isThere) return giveBack(tx, { ...of, paid }, at, actor);`,
    replace: `if (!vm || !isThere) return "repeat";`,
    plan: "revived-too-late",
  },
];
