import type { Mutant } from "./plant.ts";

/** Of changes of plan. */
export const RESIZES: readonly Mutant[] = [
  {
    name: "resize: what was paid for a size that nobody saw counts as given back",
    file: "commands/billing/follow-plan-change.ts",
    find: "if (await deps.payments.undoChange({ changeId, subscriptionId, paysBy, priceId }))",
    replace: "if (priceId !== '')",
    plan: "resize-not-seen",
  },
  {
    name: "resize: the money goes back, and the new price stays",
    file: "adapters/stripe-price-changes.ts",
    find: 'if (found.kind === "applied") await setPriceBack(',
    replace: 'if (found.kind === "waiting") await setPriceBack(',
    plan: "resize-not-seen",
  },
  {
    name: "resize: what taking it back gave is kept as credit, beside the refund",
    file: "adapters/stripe-price-changes.ts",
    find: "if (amount === 0 || currency === undefined) return true;",
    replace: "if (amount !== 1 || currency === undefined) return true;",
    plan: "resize-not-seen",
  },
  {
    name: "resize: the machine comes before the money",
    file: "core/billing/plan-change-step.ts",
    find: `change.order === "pay_first" ? sides : sides.toReversed();`,
    replace: "change.order === null ? sides : sides.toReversed();",
    plan: "resize-declined",
  },
  {
    name: "resize: a payment that waits counts as paid",
    file: "core/billing/change-money.ts",
    find: `new Set(["exempt", "applied"]);`,
    replace: `new Set(["exempt", "applied", "waiting"]);`,
    plan: "resize-declined",
  },
  {
    name: "resize: a size counts as seen as soon as its host was told",
    file: "commands/billing/see-plan-change.ts",
    find: `isSizeSeen: isHeardOf && sizeIsSeen(vm, seen) === "seen",`,
    replace: "isSizeSeen: isHeardOf || change.generation !== null,",
    plan: "resize-not-seen",
  },
  {
    name: "resize: no room is held for what is to be larger",
    file: "commands/billing/move-plan-change.ts",
    find: `(await resizeReservation(tx, vmId, to.machine, "at_least"));`,
    replace: "to.machine.vcpus > 0;",
    plan: "resized-up-and-down",
  },
  {
    name: "resize: of what is to be smaller, its room goes before it does",
    file: "commands/billing/move-plan-change.ts",
    find: `(await resizeReservation(tx, vmId, to.machine, "at_least"));`,
    replace: `(await resizeReservation(tx, vmId, to.machine, "exactly"));`,
    plan: "resized-up-and-down",
  },
  {
    name: "resize: the room of both sizes is kept",
    file: "commands/billing/move-plan-change.ts",
    find: `if (holds) await resizeReservation(tx, vm.id, vm, "exactly");`,
    replace: "",
    plan: "resized-up-and-down",
  },
  {
    name: "resize: it is made, and what was bought stays as it was",
    file: "commands/billing/move-plan-change.ts",
    find: "await saveBought(tx, vm.id, change.to, at.now);",
    replace: "",
    plan: "resized-up-and-down",
  },
  {
    name: "resize: what is dropped can still be paid",
    file: "adapters/stripe-price-changes.ts",
    find: 'await stripe.invoices.voidInvoice(invoiceId, {}, keyOfCall("void", invoiceId, now()));',
    replace: `if (found.invoiceId !== "") return { kind: "not_there" };`,
    plan: "resize-declined",
  },
  {
    name: "resize: it is turned back, and its host goes on with the new size",
    file: "commands/billing/move-plan-change.ts",
    find: `desire(tx, vm, { ...change.from.machine, diskGib });
  await save`,
    replace: `desire(tx, vm, { ...change.to.machine, diskGib });
  await save`,
    plan: "resize-not-seen",
  },
  {
    name: "resize: what is not paid is waited for for ever",
    file: "core/billing/plan-change-step.ts",
    find: `if (payBy !== null && now >= payBy) return "not_paid";`,
    replace: "",
    plan: "resize-declined",
  },
  {
    name: "resize: what is not seen is waited for for ever",
    file: "core/billing/plan-change-step.ts",
    find: `return seeBy !== null && now >= seeBy ? "not_seen" : null;`,
    replace: "return null;",
    plan: "resize-not-seen",
  },
  {
    name: "sweep: nobody follows changes whose time is over",
    file: "functions/sweep.ts",
    find: "follow_plan_changes: followPlanChanges,",
    replace: "",
    plan: "resize-not-seen",
  },
];
