import type { Stripe } from "stripe";
import {
  first,
  machines,
  moneyOf,
  nowOf,
  subscriptionsOf,
  type MakeCheck,
  type Scene,
} from "./scene.ts";
import { isLostOrder, isLostVm, mayNotKnowYet } from "./lost-hour.ts";
import type { Row } from "../mirror.ts";

/** 1. Paid, and then a machine or the money back: never both, never neither. */
export const paidIsServedOrReturned: MakeCheck = (scene) => ({
  invariant: 1,
  // Whoever deletes what was made has had it; only what was not made is paid back (invariant 26).
  onCommit: () =>
    first(scene.mirror.actions.changed, ({ before, after }) => {
      if (before !== null || after?.type !== "delete") return undefined;
      const vm = scene.mirror.vms.get(after.vm_id);
      const owed = scene.mirror.orders.changed.some(
        (order) => order.after?.vm_id === after.vm_id && order.after.state === "refunding",
      );
      return owed && vm?.first_running_at !== null
        ? `VM ${after.vm_id} was made, was deleted, and is paid back`
        : undefined;
    }),
  onStep: () =>
    first(scene.mirror.orders.all(), (order) => {
      const { returned } = moneyOf(scene, order);
      const vm = scene.mirror.vms.get(order.vm_id);
      if (returned === 0n) return undefined;
      // Until the provider has told of it again: in the end it must be known (`endOf`).
      if (scene.sim.rest.since === null && mayNotKnowYet(scene, order.id)) return undefined;
      if (order.state !== "refunding" && order.state !== "refunded")
        return `order ${order.id} is ${order.state} and its money went back`;
      if (vm?.presence === "present") return `order ${order.id} has its money back and its VM`;
      return first(subscriptionsOf(scene, order), ({ status }) =>
        status === "canceled"
          ? undefined
          : `order ${order.id} has its money back, and its subscription is ${status}`,
      );
    }),
  atRest: () => first(scene.mirror.orders.all(), (order) => endOf(scene, order)),
});

/** What was to be paid for it. */
const dueOf = (order: Row<"orders">): bigint =>
  BigInt(order.total_minor - order.discount_minor + order.tax_minor);

function endOf(scene: Scene, order: Row<"orders">): string | undefined {
  const { taken, returned } = moneyOf(scene, order);
  const vm = scene.mirror.vms.get(order.vm_id);
  const made = [...machines(scene)].filter((m) => m.vm.vmId === order.vm_id);
  const kept = taken - returned;
  const is = `order ${order.id} is ${order.state}`;
  switch (order.state) {
    case "active":
      if (kept !== dueOf(order)) return `${is} and ${kept} of ${dueOf(order)} was kept`;
      if (vm?.presence === "present" && made.length !== 1 && vm.lost_at === null)
        return `${is} and has ${made.length} machines`;
      return vm?.presence === "present" || vm?.deleted_at === null
        ? undefined
        : `${is} and its VM is gone`;
    case "completed":
      if (kept !== dueOf(order)) return `${is} and ${kept} of ${dueOf(order)} was kept`;
      if (vm?.first_running_at === null) return `${is} and its VM never ran`;
      return made.length === 0 ? undefined : `${is} and its machine is still there`;
    case "refunded":
    case "expired":
      if (kept !== 0n) return `${is} and ${kept} was kept`;
      return made.length === 0 ? undefined : `${is} and there is a machine`;
    case "awaiting_payment":
      if (taken !== 0n) return `${is} and ${taken} was taken`;
      return order.expires_at > nowOf(scene) ? undefined : `${is} past its hold`;
    default:
      return `${is}, for ever`;
  }
}

/** 2. No machine without money. */
export const noMachineBeforeFunds: MakeCheck = (scene) => ({
  invariant: 2,
  onStep: () =>
    first(machines(scene), ({ host, vm }) => {
      const row = scene.mirror.vms.get(vm.vmId);
      if (isLostVm(scene, vm.vmId)) return undefined;
      if (row === undefined) return `${host.name} has VM ${vm.vmId}, which nobody ordered`;
      const order = scene.mirror.orderOf(row.id);
      if (order === undefined || order.paid_at === null) return `VM ${vm.vmId} is made, unpaid`;
      return moneyOf(scene, order).taken > 0n || dueOf(order) === 0n
        ? undefined
        : `VM ${vm.vmId} is made, and no money was taken`;
    }),
  onCommit: () =>
    first(scene.mirror.vms.changed, ({ before, after }) => {
      if (before !== null || after === null) return undefined;
      const orderId = scene.mirror.orderOf(after.id)?.id;
      const booked = scene.mirror.ledgerTransactions
        .all()
        .some((t) => t.order_id === orderId && t.kind === "payment");
      const order = scene.mirror.orderOf(after.id);
      return booked || (order !== undefined && dueOf(order) === 0n)
        ? undefined
        : `VM ${after.id} has its row before its payment is booked`;
    }),
});

/** 5. What was cancelled stays so, and nothing is destroyed without a fresh look at the provider. */
export const cancelledStaysCancelled: MakeCheck = (scene) => ({
  invariant: 5,
  onCommit: () =>
    first(scene.mirror.vms.changed, ({ before, after }) => {
      if (before?.presence === "absent" && after?.presence === "present")
        return `VM ${after.id} was resurrected`;
      if (before !== null && before.deleted_at !== null && after?.deleted_at === null)
        return `VM ${before.id} is back from the dead`;
      return undefined;
    }) ??
    first(scene.mirror.services.changed, ({ before, after }) => {
      const vm = after && scene.mirror.vms.get(after.vm_id);
      const longer =
        before !== null && after !== null && after.entitled_until > before.entitled_until;
      return longer && vm?.presence === "absent"
        ? `VM ${vm.id} is to go, and was entitled anew`
        : undefined;
    }) ??
    destroyedUnseen(scene) ??
    first(scene.mirror.orders.changed, ({ before, after }) =>
      before !== null && ENDED.has(before.state) && after?.state !== before.state
        ? `order ${before.id} went from ${before.state} to ${after?.state ?? "nothing"}`
        : undefined,
    ),
  atRest: () =>
    first(scene.provider.standIn.store.all("subscription"), (subscription) => {
      const orderId = subscription.metadata["order_id"] ?? "";
      if (isLostOrder(scene, orderId)) return undefined;
      const order = scene.mirror.orders.get(orderId);
      const vm = order && scene.mirror.vms.get(order.vm_id);
      const over = order === undefined || ENDED.has(order.state) || vm?.presence === "absent";
      return over && subscription.status !== "canceled"
        ? `order ${order?.id} is over, and its subscription is ${subscription.status}`
        : undefined;
    }),
});

/** What a payment's state took away (a place, the time that a VM may run) goes only after a fresh look at that state. */
function destroyedUnseen(scene: Scene): string | undefined {
  const { orders, services } = scene.mirror;
  const wrong =
    first(orders.changed, ({ before, after }) =>
      after?.state === "expired" && before?.state !== "expired" && after.checkout_id !== null
        ? unseen(scene, `checkout/sessions/${after.checkout_id}`, `order ${after.id} was given up`)
        : undefined,
    ) ??
    first(services.changed, ({ before, after }) => {
      if (before === null || after === null || after.entitled_until >= before.entitled_until)
        return undefined;
      // One whose VM was not made in time is undone whatever its payment says: the money goes back.
      const order = scene.mirror.orderOf(after.vm_id);
      return order?.state === "refunding"
        ? undefined
        : unseen(
            scene,
            `subscriptions/${after.subscription_id ?? ""}`,
            `the time of VM ${after.vm_id} was cut short`,
          );
    });
  return wrong;
}
const unseen = ({ asked }: Scene, object: string, what: string): string | undefined =>
  asked.includes(`GET /v1/${object}`) ? undefined : `${what} without a look at the provider`;
const ENDED = new Set(["completed", "refunded"]);

/** 8. The ledger sums to zero, is only added to, and says what the provider says. */
export const ledgerBalances: MakeCheck = (scene) => ({
  invariant: 8,
  onCommit: () => {
    const { ledgerEntries, ledgerTransactions } = scene.mirror;
    if ([...ledgerEntries.changed, ...ledgerTransactions.changed].some((c) => c.before !== null))
      return "what was booked was changed";
    if (ledgerEntries.changed.length === 0) return undefined;
    const sums = new Map<string, bigint>();
    for (const e of ledgerEntries.all()) {
      const key = `${e.transaction_id} ${e.currency}`;
      sums.set(key, (sums.get(key) ?? 0n) + e.amount_minor);
    }
    return first(sums, ([key, sum]) => (sum === 0n ? undefined : `${key} sums to ${sum}`));
  },
  atRest: () => {
    const { mirror, provider } = scene;
    const booked = (kind: string, reference: string) =>
      mirror.ledgerTransactions.all().filter((t) => t.kind === kind && t.reference === reference);
    const amount = (id: string) =>
      mirror.ledgerEntries
        .all()
        .filter((e) => e.transaction_id === id && e.account === "stripe_balance")
        .reduce((sum, e) => sum + e.amount_minor, 0n);
    return (
      first(provider.standIn.store.all("invoice"), (invoice) => {
        if (invoice.status !== "paid" || invoice.amount_paid === 0) return undefined;
        if (isLostOrder(scene, invoice.parent?.subscription_details?.metadata?.["order_id"]))
          return undefined;
        const [transaction] = booked("payment", invoice.id);
        if (!transaction) return `invoice ${invoice.id} is paid and not booked`;
        const is = amount(transaction.id);
        return is === BigInt(invoice.amount_paid)
          ? undefined
          : `invoice ${invoice.id} is booked with ${is}`;
      }) ??
      first(provider.standIn.store.all("refund"), (refund) => {
        if (isLostOrder(scene, orderOfRefund(scene, refund))) return undefined;
        const [transaction] = booked("refund", refund.id);
        if (!transaction) return `refund ${refund.id} is not booked`;
        return amount(transaction.id) === BigInt(-refund.amount)
          ? undefined
          : `refund ${refund.id} is booked with another amount`;
      }) ??
      creditIsBooked(scene)
    );
  },
});

/** Written down with it, or else with the invoice that its payment paid: a change's refund names the change. */
function orderOfRefund({ provider }: Scene, refund: Stripe.Refund): string | undefined {
  const { store } = provider.standIn;
  const named = refund.metadata?.["order_id"];
  if (named !== undefined) return named;
  const paid = store
    .all("invoice_payment")
    .find(({ payment }) => payment.payment_intent === refund.payment_intent)?.invoice;
  return store.all("invoice").find(({ id }) => id === paid)?.parent?.subscription_details
    ?.metadata?.["order_id"];
}

/**
 * What customers' balances say at the provider is what the ledger says that we owe them: with what an invoice that nobody
 * has paid has taken from them, which is booked with its payment, and comes back when it is voided.
 */
function creditIsBooked({ mirror, provider }: Scene): string | undefined {
  const owed = mirror.ledgerEntries
    .all()
    .filter((e) => e.account === "customer_credit")
    .reduce((sum, e) => sum + e.amount_minor, 0n);
  const held = provider.standIn.store
    .all("invoice")
    .filter(({ status }) => status === "open" || status === "uncollectible")
    .reduce((sum, i) => sum + (i.ending_balance ?? i.starting_balance) - i.starting_balance, 0);
  const balance =
    provider.standIn.store.all("customer").reduce((sum, c) => sum + c.balance, 0) - held;
  return owed === BigInt(balance)
    ? undefined
    : `customers' balances come to ${balance}, and ${owed} is booked`;
}

/** 9. Nothing goes back that was not taken, as a refund or as credit, and no time twice. (Rated usage is not built yet.) */
export const refundsWithinCaptures: MakeCheck = (scene) => ({
  invariant: 9,
  onStep: () =>
    first(scene.provider.standIn.store.all("charge"), (charge) =>
      charge.amount_refunded > charge.amount_captured
        ? `charge ${charge.id} took ${charge.amount_captured} and gave back ${charge.amount_refunded}`
        : undefined,
    ) ??
    first(scene.mirror.orders.all(), (order) => {
      const { taken, returned } = moneyOf(scene, order);
      return returned > taken
        ? `order ${order.id} took ${taken} and gave back ${returned}`
        : undefined;
    }) ??
    givenTooMuch(scene),
  onCommit: () =>
    first(scene.mirror.giveBacks.changed, ({ before, after }) => {
      if (before !== null || after === null) return undefined;
      const twice = scene.mirror.giveBacks.all().find(
        (o) =>
          o.id !== after.id &&
          o.vm_id === after.vm_id &&
          // One whose price has changed has several invoices for one time, each for its own part.
          (o.invoice_id === after.invoice_id || !hasChanged(scene, after.vm_id)) &&
          o.from < after.until &&
          after.from < o.until,
      );
      if (twice)
        return `a time of VM ${after.vm_id} is given back twice: ${[twice, after].map((o) => `${o.amount_minor} of ${o.invoice_id} for ${new Date(o.from).toISOString()} to ${new Date(o.until).toISOString()}`).join(", and ")}`;
      const invoice = scene.provider.standIn.store.get("invoice", after.invoice_id);
      const [line] = invoice?.lines.data ?? [];
      // Of one whose price has changed, what one invoice credits is that much less that an older one is worth (core/billing/give-back.ts).
      if (hasChanged(scene, after.vm_id)) return undefined;
      if (invoice === undefined || line === undefined) return `${after.invoice_id} is no invoice`;
      const period = BigInt(line.period.end - line.period.start) * 1000n;
      return after.amount_minor * period > BigInt(invoice.total) * BigInt(after.until - after.from)
        ? `more than its share of ${after.invoice_id} is given back for VM ${after.vm_id}`
        : undefined;
    }),
  atRest: () =>
    first(scene.mirror.giveBacks.all(), (each) =>
      each.made_at === null ? `what is owed for VM ${each.vm_id} is not given back` : undefined,
    ) ?? first(scene.mirror.losses.all(), (loss) => notGivenBack(scene, loss)),
});

/** Of no invoice more goes back than it came to, and nothing that was decided once is given twice. */
function givenTooMuch({ mirror, provider }: Scene): string | undefined {
  if (mirror.giveBacks.rows.size === 0) return undefined;
  const { store } = provider.standIn;
  const given = [
    ...store.all("refund").filter((refund) => refund.status !== "failed"),
    ...store.all("balance_transaction"),
  ].flatMap(({ metadata, amount }) => {
    const id = metadata?.["give_back_id"];
    return id === undefined ? [] : [{ id, amount: BigInt(Math.abs(amount)) }];
  });
  const seen = new Set<string>();
  const twice = first(given, ({ id }) => {
    const known = seen.has(id);
    seen.add(id);
    return known ? `${id} was given back twice` : undefined;
  });
  if (twice !== undefined) return twice;
  return first(store.all("invoice"), (invoice) => {
    const back = given
      .filter(({ id }) => mirror.giveBacks.get(id)?.invoice_id === invoice.id)
      .reduce((sum, { amount }) => sum + amount, 0n);
    return back > 0n && back > BigInt(invoice.total)
      ? `invoice ${invoice.id} came to ${invoice.total}, and ${back} of it went back`
      : undefined;
  });
}

const hasChanged = ({ mirror }: Scene, vmId: string | null): boolean =>
  mirror.planChanges.all().some((change) => change.vm_id === vmId);

/** Of a loss that is over: each paid period that it lay in by more than a cent's time has given its share back. */
function notGivenBack(scene: Scene, loss: Row<"losses">): string | undefined {
  const { mirror, provider } = scene;
  const order = mirror.orders.get(loss.order_id);
  const vm = mirror.vms.get(loss.vm_id);
  const paidUntil = mirror.services.get(loss.vm_id)?.entitled_until ?? 0;
  if (vm?.presence === "present" && vm.lost_at === null && loss.until === null)
    return `VM ${loss.vm_id} is there, and its loss goes on`;
  if (order?.state !== "active" && order?.state !== "completed") return undefined;
  const isOver = vm?.presence === "absent" || (loss.until !== null && loss.until <= paidUntil);
  if (!isOver) return undefined;
  if (loss.settled_at === null) return `the loss of VM ${loss.vm_id} is over, and is not settled`;
  if (hasChanged(scene, loss.vm_id)) return undefined;
  return first(provider.standIn.store.all("invoice"), (invoice) => {
    const [line] = invoice.lines.data;
    const ofIt = invoice.parent?.subscription_details?.metadata?.["order_id"] === order.id;
    if (!ofIt || invoice.status !== "paid" || line === undefined) return undefined;
    const [begin, end] = [line.period.start * 1000, line.period.end * 1000];
    const lost = Math.min(loss.until ?? end, end) - Math.max(loss.since, begin);
    if (lost <= 0 || (invoice.total * lost) / (end - begin) < 1) return undefined;
    const given = mirror.giveBacks
      .all()
      .some(
        (each) =>
          each.vm_id === loss.vm_id &&
          each.invoice_id === invoice.id &&
          each.from < (loss.until ?? end) &&
          loss.since < each.until,
      );
    return given ? undefined : `VM ${loss.vm_id} was lost, and nothing of ${invoice.id} went back`;
  });
}
