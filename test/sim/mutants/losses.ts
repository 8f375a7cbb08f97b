import type { Mutant } from "./plant.ts";

/** Of lost VMs, restores of the database, and suspensions. */
export const LOSSES: readonly Mutant[] = [
  {
    name: "loss: a VM that its host does not find is not told as lost",
    plan: "lost-and-made-anew",
    file: "core/vms/judge-report.ts",
    find: `error?.code === "vm_missing";`,
    replace: `error?.code === "unsupported";`,
  },
  {
    name: "loss: its host makes again by itself what it does not find",
    plan: "lost-and-made-anew",
    file: "core/vms/plan-vm-step.ts",
    find: "if (!desired.mayCreate && repair === undefined)",
    replace: `if (!desired.mayCreate && repair === "adopt_disk")`,
  },
  {
    name: "loss: nobody freezes what bills for a lost VM",
    plan: "lost-and-made-anew",
    file: "functions/sweep.ts",
    find: "freeze_billing: freezeBilling,",
    replace: "",
  },
  {
    name: "loss: nothing bills for a VM that is back",
    plan: "lost-and-made-anew",
    file: "commands/billing/freeze-billing.ts",
    find: `await each(await billingToResume(deps.db, 50), "resumed");`,
    replace: "",
  },
  {
    name: "loss: it goes on although the VM is back",
    plan: "lost-and-made-anew",
    file: "commands/vms/record-vm-report.ts",
    find: "await endLoss(tx, vm.id, at.now);",
    replace: "return;",
  },
  {
    name: "loss: nobody gives back what was paid for it",
    plan: "lost-and-made-anew",
    file: "functions/sweep.ts",
    find: "settle_losses: settleLosses,",
    replace: "",
  },
  {
    name: "loss: twice its share of a period is given back",
    plan: "lost-and-made-anew",
    file: "core/billing/give-back.ts",
    find: "const left = least(worth, total.minor - refunded - given.unseen);",
    replace: "const left = least(worth * 2n, total.minor - refunded - given.unseen);",
  },
  {
    name: "loss: of a VM that is given up, what was paid ahead is kept",
    plan: "lost-and-given-up",
    file: "core/billing/give-back.ts",
    find: `if (loss.vmIsToGo) return { way: "card", from, until: null, isAll: true };`,
    replace: `if (loss.vmIsToGo) return { way: "card", from, until: from, isAll: true };`,
  },
  {
    name: "loss: credit is given and not booked",
    plan: "lost-and-made-anew",
    file: "commands/billing/make-give-back.ts",
    find: "await post(tx, book(owed, made.id, owed.amount), at);",
    replace: `if (owed.way === "card") await post(tx, book(owed, made.id, owed.amount), at);`,
  },
  {
    name: "restore: counters rise to what the agent holds, and not above it",
    plan: "restored-behind-its-hosts",
    file: "core/hosts/restored.ts",
    find: "const by = held.generation - known + 1;",
    replace: "const by = held.generation - known;",
  },
  {
    name: "restore: what the provider has told since is not taken in again",
    plan: "restored-to-before-the-cancellation",
    file: "functions/sweep.ts",
    find: "fetch_events_again: fetchEventsAgain,",
    replace: "",
  },
  {
    name: "restore: a host destroys what its document does not name",
    plan: "restored-to-before-the-order",
    file: "host-agent/converge/sync.ts",
    find: "reporter.strangers(strangers, full);",
    replace: `reporter.strangers(strangers, full);
      for (const each of strangers) await driver.destroy(each).catch(() => undefined);`,
  },
  {
    name: "suspension: its host is told the power that was asked for",
    file: "db/vms/vms.ts",
    find: `power: vm.suspensions.length > 0 ? "off" : vm.power,`,
    replace: "power: vm.power,",
    plan: "suspended-and-paid",
  },
  {
    name: "suspension: a payment lifts staff's too",
    file: "commands/orders/follow-provider.ts",
    find: "const seen = { subscriptionStatus: status, subscriptionVersion: version, entitledUntil: until };",
    replace:
      "const seen = { subscriptionStatus: status, subscriptionVersion: version, entitledUntil: until, suspensions: [] };",
    plan: "suspended-and-paid",
  },
  {
    name: "suspension: it is written down nowhere",
    file: "commands/billing/suspend-vm.ts",
    find: "await recordChange(",
    replace: "if (+at.now === 0) await recordChange(",
    plan: "suspended-and-paid",
  },
];
