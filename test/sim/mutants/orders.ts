import type { Mutant } from "./plant.ts";

/** Of orders, from the catalogue to the refund. */
export const ORDERS: readonly Mutant[] = [
  {
    name: "catalogue: what was ordered is taken for what is on sale by then",
    file: "db/catalogue/catalogue.ts",
    find: "versions(db).where(and(eq(plans.id, at.id), eq(planVersions.version, at.version))),",
    replace: "versions(db).where(eq(plans.id, at.id)).orderBy(desc(planVersions.version)),",
    plan: "plan-changed-before-payment",
  },
  {
    name: "catalogue: what was bought is written as what is on sale by then",
    file: "commands/orders/fulfil-order.ts",
    find: "planVersion: order.planVersion,",
    replace: "planVersion: (await loadPlanVersions(tx, order.planId))[0]?.version ?? 1,",
    also: { find: "loadPlan, type Plan }", replace: "loadPlan, loadPlanVersions, type Plan }" },
    plan: "plan-changed-before-payment",
  },
  {
    name: "sweep: an unpaid order is given up without a look at the provider",
    file: "commands/orders/expire-orders.ts",
    find: "if (order && order.checkoutId !== null) {",
    replace: "if (order && order.checkoutId === 'none') {",
    also: {
      find: `if (!locked || locked.checkoutId !== null) return "unchanged";`,
      replace: `if (!locked) return "unchanged";`,
    },
  },
  {
    name: "provider: a look at a checkout that fails counts as one that has expired",
    file: "adapters/stripe.ts",
    find: "const fetchCheckout = async (checkoutId: string): Promise<CheckoutState> =>",
    replace: `const fetchCheckout = (id: string) =>
    looked(id).catch(() => ({ status: "expired", paid: false, subscription: null, invoice: null }));
  const looked = async (checkoutId: string): Promise<CheckoutState> =>`,
    also: {
      find: "maxNetworkRetries: options.maxNetworkRetries ?? 2,",
      replace: "maxNetworkRetries: 0,",
    },
  },
  {
    name: "image: sold where no file of it is",
    file: "core/hosts/place-vm.ts",
    find: `if (held === undefined) return yield "image_missing";`,
    replace: "if (held === undefined) return;",
  },
  {
    name: "guest: each boot counts anew, and what did not last is paid back",
    file: "core/orders/decide-order.ts",
    find: "seen.ranMs + spanMs(",
    replace: "spanMs(",
    also: {
      find: `return hostIsHeard && !hostFailed ? "activate" : "refund";`,
      replace: `return "refund";`,
    },
  },
  {
    name: "guest: whoever says nothing is paid back",
    file: "core/orders/decide-order.ts",
    find: `>= SILENT_GUEST_MS) return "activate";`,
    replace: `>= SILENT_GUEST_MS) return "wait";`,
    also: {
      find: `return hostIsHeard && !hostFailed ? "activate" : "refund";`,
      replace: `return hostIsHeard && hostFailed ? "activate" : "refund";`,
    },
  },
  {
    name: "ledger: both sides of a payment have one sign",
    file: "core/billing/ledger.ts",
    find: "minor: -m.minor",
    replace: "minor: m.minor",
  },
  {
    name: "ledger: renewals are not booked",
    file: "commands/orders/follow-provider.ts",
    find: "if (invoice) await bookPayment(tx, { order, invoice }, at, by.actor);",
    replace: "",
  },
  {
    name: "end: a payment that crosses the end of its VM is kept",
    file: "core/billing/settle-asked.ts",
    find: "paidAt > endedAt",
    replace: "paidAt < endedAt",
  },
  {
    name: "end: what an ended subscription asks for stays open",
    file: "core/billing/settle-asked.ts",
    find: `do: "void" }]`,
    replace: `do: "hold" }]`,
  },
  {
    name: "end: the customer's other invoices are not collected again",
    file: "core/billing/settle-asked.ts",
    find: `status === "open" && isDue && !collects`,
    replace: `status === "open" && isDue && collects`,
  },
  {
    name: "refund: the VM stays",
    file: "commands/orders/watch-provisioning.ts",
    find: `if (decided === "refund") events.push(await undoVm(tx, vm, at));`,
    replace: `if (decided === "refund") events.push();`,
  },
  {
    name: "refund: the subscription goes on",
    file: "commands/orders/refund-order.ts",
    find: "if (checkout?.subscription) await endAndSettle(deps, checkout.subscription.id);",
    replace: "",
  },
  {
    name: "order: a second click buys a second VM",
    file: "core/orders/open-order.ts",
    find: "const same = alike.find((order) => isWanted(order, wanted));",
    replace:
      "if (+now > 0) return { kind: 'new' };\n  const same = alike.find((order) => isWanted(order, wanted));",
    plan: "second-click",
  },
  {
    name: "delete: a VM that is deleted before it was made is not paid back",
    file: "core/orders/deleted-order.ts",
    find: `return order.state === "paid" && vm.firstRunningAt === null`,
    replace: `return order.state === "awaiting_payment" && vm.firstRunningAt === null`,
  },
  {
    name: "delete: what was made is paid back while its guest has said nothing",
    file: "core/orders/deleted-order.ts",
    find: `return order.state === "paid" && vm.firstRunningAt === null`,
    replace: `return order.state === "paid"`,
  },
  {
    name: "delete: the order of what was not made is paid back, and its VM goes on to be made",
    file: "commands/vms/request-action.ts",
    find: "await saveDesire(tx, vm.id, decided.value);",
    replace: `if (input.type !== "delete" || vm.firstRunningAt) await saveDesire(tx, vm.id, decided.value);`,
  },
  {
    name: "access: whoever asks may touch every VM",
    file: "core/accounts/accounts.ts",
    find: `who.role === "staff" || who.accountId === ownerId`,
    replace: `who.role !== "integration" || who.accountId === ownerId`,
  },
  {
    name: "sweep: nobody gives up unpaid orders",
    file: "functions/sweep.ts",
    find: "expire_orders: expireOrders,",
    replace: "",
  },
  {
    name: "placement: what a host's agent understands is not looked at",
    plan: "old-agent-asked",
    file: "core/hosts/place-vm.ts",
    find: 'wordsOf({ presence: "present", isMade: false, repair: null, os, hardware, rootPassword }),\n    h.understands,',
    replace:
      'wordsOf({ presence: "present", isMade: false, repair: null, os, hardware, rootPassword }),\n    null,',
  },
];
