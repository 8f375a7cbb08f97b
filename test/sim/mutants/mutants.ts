import type { Mutant } from "./plant.ts";

/** Defects that somebody could write on a bad day. The simulator must find each of them. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "inbox: a delivery may be claimed twice",
    file: "db/messages/inbox.ts",
    find: "eq(inbox.messageId, at.messageId), isNull(inbox.appliedAt))",
    replace: "eq(inbox.messageId, at.messageId))",
  },
  {
    name: "outbox: a change of a VM is written without its outbox row",
    file: "commands/vms/request-action.ts",
    find: `{ name: "vm.change_requested.v1", data: { vmId: vm.id, hostId: vm.hostId } },`,
    replace: "",
  },
  {
    name: "relay: by cursor, what it has passed is never looked at again",
    file: "db/messages/outbox.ts",
    find: "or(isNull(outbox.leasedUntil), lt(outbox.leasedUntil, at.now))",
    replace: "sql`${outbox.seq} > ${sql.placeholder('passed')}::bigint`",
    also: {
      find: "const rows = await unsentTaken(db, input);",
      replace: `const passed = () => Reflect.get(db, 'passed') ?? 0n;
  const rows = await unsentTaken(db, Object.assign({ passed: passed() }, input));
  for (const r of rows) if (r.seq > passed()) Reflect.set(db, 'passed', r.seq);`,
    },
  },
  {
    name: "relay: what was taken and not sent is never taken again",
    file: "db/messages/outbox.ts",
    find: "or(isNull(outbox.leasedUntil), lt(outbox.leasedUntil, at.now))",
    replace: "isNull(outbox.leasedUntil)",
  },
  {
    name: "relay: what could not be sent counts as sent",
    file: "commands/messages/relay-outbox.ts",
    find: `await send(deps, group);
      sent.push(...group.map((r) => r.seq));`,
    replace: `sent.push(...group.map((r) => r.seq));
      await send(deps, group);`,
  },
  {
    name: "outbox: its rows are written after the commit",
    file: "db/record-change.ts",
    find: "const events = rows.flatMap((row) => row.events);",
    replace: `const events: { id: string; event: Event }[] = [];
  const later = rows.flatMap((row) => row.events).map(({ id, event: e }) => ({ id, name: e.name, data: e.data, createdAt: at.now }));
  if (later.length > 0)
    setTimeout(() => void tx.insert(outbox).values(later).then(() => undefined, () => undefined), 1);`,
  },
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
    name: "audit: a change of an entitlement is written down nowhere",
    file: "commands/orders/follow-provider.ts",
    find: `await recordChange(
    tx,
    {
      actor,
      action: "entitlement.change",`,
    replace: `if (+at.now === 0) await recordChange(
    tx,
    {
      actor,
      action: "entitlement.change",`,
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
    name: "meter: never samples",
    file: "host-agent/meter/meter.ts",
    find: ".filter((counters) => isOurs(counters.vmId))",
    replace: ".filter(() => false)",
  },
  {
    name: "meter: counts from its first sample, not from when it first saw the VM run",
    file: "host-agent/meter/meter.ts",
    find: "if (marks.length === 0) return;",
    replace: "if (marks.length >= 0) return;",
  },
  {
    name: "meter: received bytes are counted from the boot on in every sample",
    file: "host-agent/meter/usage.ts",
    find: "rxBytes: each(counters.rxBytes, before?.rxBytes),",
    replace: "rxBytes: each(counters.rxBytes, undefined),",
  },
  {
    name: "usage: a repeat is not known by its number",
    file: "core/usage/take-samples.ts",
    find: `if (covers(meter.measured, time)) return { is: "duplicate" };`,
    replace: "",
  },
  {
    name: "usage: what is stored of a VM is not written down",
    file: "db/usage/samples.ts",
    find: "update ${usageMeters} as m set measured = n.measured",
    replace: "update ${usageMeters} as m set measured = m.measured",
  },
  {
    name: "usage: an hour forgets what it had when more comes",
    file: "db/usage/samples.ts",
    find: "set cpu_ns = h.cpu_ns + excluded.cpu_ns",
    replace: "set cpu_ns = excluded.cpu_ns",
  },
  {
    name: "report: any host may end an action of any VM",
    file: "commands/vms/record-vm-report.ts",
    find: "new Map([...actions].filter(([vmId]) => bound.has(vmId)))",
    replace: "new Map(actions)",
    plan: "told-of-while-it-is-resized",
  },
  {
    name: "report: the owner's epoch is not compared",
    file: "core/vms/judge-report.ts",
    find: `if (report.ownerEpoch !== vm.ownerEpoch) return "foreign";
  if (report.observed && report.observed.ownerEpoch !== vm.ownerEpoch) return "foreign";`,
    replace: "",
  },
  {
    name: "report: a generation that nobody asked for is believed",
    file: "core/vms/judge-report.ts",
    find: `if (report.generation > vm.generation) return "foreign";`,
    replace: "",
  },
  {
    name: "report: any host may speak of any VM",
    file: "db/vms/vms.ts",
    find: ".where(and(eq(vms.hostId, at.hostId), sql`${vms.id} = any(",
    replace: ".where(and(sql`${vms.id} = any(",
    plan: "told-of-by-another-host",
  },
  {
    // The number is compared by the decision and by the update that keeps it; without one neither has anything to compare.
    name: "report: an agent does not number what it tells",
    file: "host-agent/channel/sent-reports.ts",
    find: "serial: { process, seq }, ...more",
    replace: "...(seq < 0 ? { serial: { process, seq } } : {}), ...more",
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
    name: "host: its own word raises what it may give away",
    file: "core/hosts/capacity.ts",
    find: "memoryMib: Math.min(memoryMib, ceiling.memoryMib),",
    replace: "memoryMib,",
  },
  {
    name: "clock: an agent signs by its own",
    file: "host-agent/channel/plane-time.ts",
    find: "<= MOST_CORRECTION_MS ? new Date(planeMs()) : clock.now();",
    replace: "<= 0 ? new Date(planeMs()) : clock.now();",
  },
  {
    name: "clock: an agent tells of usage in its own time",
    file: "host-agent/agent.ts",
    find: "const planeClock: Clock = { now: () => planeTime.now(), sleep: clock.sleep };",
    replace: "const planeClock: Clock = { now: () => clock.now(), sleep: clock.sleep };",
  },
  {
    name: "clock: an agent believes what an old answer says the time is",
    file: "host-agent/channel/control-plane.ts",
    find: "if (date !== null && tookMs <= limit.ms)",
    replace: "if (date !== null && tookMs >= 0)",
  },
  {
    // The database of the simulator has one session: what is only suggested is never out of date in it. So both go.
    name: "reservation: neither the suggestion nor the update minds what memory is taken",
    file: "db/hosts/capacity.ts",
    find: "(${hosts.capacityMemoryMib} - ${hosts.allocatedMemoryMib})",
    replace: "(${hosts.capacityMemoryMib} - 0)",
  },
  {
    name: "reservation: room is held and not counted",
    file: "db/hosts/capacity.ts",
    find: "allocatedMemoryMib: sql`${hosts.allocatedMemoryMib} + ${memoryMib}`,",
    replace: "",
  },
  {
    name: "reservation: room is given back and stays counted",
    file: "db/hosts/capacity.ts",
    find: "allocatedMemoryMib: sql`${hosts.allocatedMemoryMib} - ${r.memoryMib}`,",
    replace: "",
  },
  {
    name: "reservation: a VM's place is given back and the VM stays counted",
    file: "db/hosts/capacity.ts",
    find: "allocatedVms: sql`${hosts.allocatedVms} - 1`,",
    replace: "",
  },
  {
    name: "address: leased without being taken out of the free ones",
    file: "db/network/addresses.ts",
    find: `.set({ busyUntil: sql\`'infinity'\` })
    .where(and(eq(ipAddresses.poolId, free.poolId)`,
    replace: `.set({ busyUntil: input.now })
    .where(and(eq(ipAddresses.poolId, free.poolId)`,
  },
  {
    name: "address: no rest after its release",
    file: "core/network/address.ts",
    find: "export const IP_QUARANTINE_MS = 24 * 60 * 60_000;",
    replace: "export const IP_QUARANTINE_MS = 0;",
  },
  {
    name: "spool: deleted before the control plane has acknowledged it",
    file: "host-agent/meter/meter.ts",
    find: "const left = await sendSamples(",
    replace:
      "await spool.settle(batch, { refused: [], waiting: [] });\n      const left = await sendSamples(",
  },
  {
    name: "meter: every sample counts from the beginning of the boot",
    file: "host-agent/meter/usage.ts",
    find: "const before = last.bootEpoch === counters.bootEpoch ? last : null;",
    replace:
      "const before = last.bootEpoch === counters.bootEpoch ? { ...last, rxBytes: [], txBytes: [] } : null;",
  },
  {
    name: "driver: builds on in a VM without our tag",
    file: "host-agent/drivers/simulated/driver.ts",
    find: "if (vm.ownerEpoch === null)",
    replace: "if (vm.ownerEpoch === null) return vm;\n    if (vm.ownerEpoch === -1)",
  },
  {
    // Nobody destroys what is not in the list: so it takes both.
    name: "driver: destroys a VM without our tag",
    file: "host-agent/drivers/simulated/driver.ts",
    find: "const found = await find(ref);",
    replace: "const found = await world.vm(ref.vmId);",
    also: {
      find: "vm.ownerEpoch === null || foreign(vm) ? [] : [{ vm, ownerEpoch: vm.ownerEpoch }],",
      replace: "[{ vm, ownerEpoch: vm.ownerEpoch ?? 1 }],",
    },
  },
  {
    name: "agent: empties the trash at once",
    file: "host-agent/agent.ts",
    find: "trashHours: 7 * 24,",
    replace: "trashHours: 0,",
  },
  {
    name: "agent: does not stop what is not paid",
    file: "core/vms/plan-vm-step.ts",
    find: `return situation.planeNow.getTime() > until ? "off" : situation.desired.power;`,
    replace: "return until > 0 ? situation.desired.power : situation.desired.power;",
  },
  {
    name: "agent: one-shot work is begun without being written down",
    file: "host-agent/converge/vm-actions.ts",
    find: "await journal.begin(action.id, desired.vmId);",
    replace: "",
  },
  {
    name: "agent: looks only when a doorbell rings",
    file: "host-agent/loop.ts",
    find: `every("resync", resyncMs, resync),`,
    replace: "",
  },
  // Not here: "a command does not raise its host's generation". The reader of desired documents raises it then, so that
  // nothing is broken but the doorbell's haste; `test/db/vms/raises-generation.test.ts` is what misses it.
  {
    name: "ledger: both sides of a payment have one sign",
    file: "core/billing/ledger.ts",
    find: "minor: -m.minor",
    replace: "minor: m.minor",
  },
  {
    name: "ledger: renewals are not booked",
    file: "commands/orders/follow-provider.ts",
    find: "if (invoice) billedAfterDelete = await bookedAfterDelete(tx, order, invoice, at);",
    replace: "",
  },
  {
    name: "webhook: a VM that is to go is entitled again",
    file: "commands/orders/follow-provider.ts",
    find: `vm.presence === "absent" || `,
    replace: "",
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
    find: "if (checkout?.subscription) await deps.payments.cancelSubscription(checkout.subscription.id);",
    replace: "",
  },
  {
    name: "key: another body under a used key is taken",
    file: "db/messages/idempotency.ts",
    find: "if (prior.requestHash !== k.requestHash)",
    replace: `if (prior.requestHash === "")`,
  },
  {
    name: "key: a repeat makes a second order",
    file: "db/messages/idempotency.ts",
    find: `if (mine.length === 1) return ok({ kind: "first" });`,
    replace: `if (mine.length < 2) return ok({ kind: "first" });`,
  },
  {
    name: "key: a repeat of an order that is placed is refused",
    file: "commands/orders/place-order.ts",
    find: "return ok({ answer: AnsweredOrder.parse(claim.value.response) });",
    replace: `return refuse("order_wrong_state", "this order was placed before");`,
  },
  {
    name: "key: a repeat begins a second action",
    file: "commands/messages/answer-once.ts",
    find: `if (claim.value.kind === "answered") return ok(answer.parse(claim.value.response));`,
    replace: "",
    also: {
      find: `if (claim.value.kind === "resume") throw new Error("a key was kept without its answer");`,
      replace: "",
    },
  },
  {
    name: "key: a repeat of an action is answered anew",
    file: "commands/messages/answer-once.ts",
    find: "if (key === undefined) return work(deps);",
    replace: "if (key?.key !== '') return work(deps);",
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
    name: "sweep: nobody relays what a crash left",
    file: "functions/sweep.ts",
    find: "relay_outbox: relayOutbox,",
    replace: "",
  },
  {
    name: "sweep: nobody looks after deliveries that were not applied",
    file: "functions/sweep.ts",
    find: "retry_inbox: async (deps: Deps) => ({ rung: await retryInbox(deps) }),",
    replace: "",
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
    find: "const minor = least(worth, total.minor - refunded - given.unseen);",
    replace: "const minor = least(worth * 2n, total.minor - refunded - given.unseen);",
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
    find: "await post(tx, book(owed.orderId, made.id, owed.amount), at);",
    replace: `if (owed.way === "card") await post(tx, book(owed.orderId, made.id, owed.amount), at);`,
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
  {
    name: "move: its VM's owner changes before the source has released it",
    file: "core/moves/next-step.ts",
    find: `return says(word, "source", "released");`,
    replace: `return move.step === "release";`,
    plan: "moved-there-and-back",
  },
  {
    name: "move: an epoch of an attempt that was turned back is drawn again",
    file: "db/moves/moves.ts",
    find: "return Math.max(vm.ownerEpoch, row?.epoch ?? 0) + 1;",
    replace: "return Math.max(vm.ownerEpoch, 0 * (row?.epoch ?? 0)) + 1;",
    plan: "move-stopped",
  },
  {
    name: "move: what comes to its new host is another disk",
    file: "host-agent/drivers/simulated/moves.ts",
    find: "await put(hands.defined(vm, disk));",
    replace: "await put(hands.defined(vm, { ...disk, serial: `${disk.serial}-new` }));",
    plan: "moved-there-and-back",
  },
  {
    name: "move: its destination says that it has what it has only received",
    file: "host-agent/moves/take-copy.ts",
    find: "const moved = await waitFor(receiver.received);",
    replace: `const moved = await waitFor(receiver.received);
    doing.say(copied(moved));
    await waitFor(untilAborted(signal));`,
    plan: "moved-there-and-back",
  },
  {
    name: "move: its VM has a new epoch, and the host that it had",
    file: "commands/moves/take-move-step.ts",
    find: "hostId: move.destinationHostId,",
    replace: "hostId: vm.hostId,",
    plan: "moved-there-and-back",
  },
  {
    name: "move: its VM's place stays where it was",
    file: "commands/moves/take-move-step.ts",
    find: "await swapHomes(tx, vm.id);",
    replace: "",
    plan: "moved-once",
  },
  {
    name: "move: the room of the end that it leaves is never given back",
    file: "commands/moves/take-move-step.ts",
    find: `if (to === "ended") await releaseHeldByMove(tx, vm.id, at.now);`,
    replace: "",
    plan: "moved-once",
  },
  {
    name: "move: the files of an attempt that is over stay",
    file: "host-agent/moves/tidy-moves.ts",
    find: "await folder.remove(path.join(moves.folder, name));",
    replace: "",
    plan: "moved-there-and-back",
  },
  {
    name: "move: what the host before has measured counts no more",
    file: "db/usage/meters.ts",
    find: "and ${moves.releasedAt} is not null\n      and ${moves.vmId} = any(",
    replace: "and ${moves.releasedAt} is null\n      and ${moves.vmId} = any(",
    plan: "moved-there-and-back",
  },
  {
    name: "move: another one begins while a host has still to put away what the last one left",
    file: "core/moves/preflight.ts",
    find: "running === null && openMove === null",
    replace: "running === null",
    plan: "moved-again-too-soon",
  },
  {
    name: "move: a VM is gone before the copy that it left is put away",
    file: "commands/vms/record-vm-report.ts",
    find: "if (await lockOpenMove(tx, vm.id))",
    replace: "if ((await lockOpenMove(tx, vm.id))?.move.id === '')",
    plan: "deleted-before-its-copy-is-put-away",
  },
  {
    name: "move: of one that is turned back its source puts its copy away",
    file: "core/moves/part.ts",
    find: `case "drop":
      return { ...its, presence: null, power: null, isNamed: false };`,
    replace: `case "drop":
      return { ...its, presence: "absent", power: null, isNamed: false };`,
    plan: "move-stopped",
  },
];
