import { v7 } from "uuid";
import type { Quote } from "#core/billing/quote.ts";
import { beginPlanChange, makeWay } from "#commands/billing/begin-plan-change.ts";
import { basisOf, billedOf, stateOf } from "#commands/billing/resize-state.ts";
import { followPlanChanges } from "#commands/billing/follow-plan-change.ts";
import { loadPlan } from "#db/catalogue/catalogue.ts";
import { insertQuote } from "#db/billing/quotes.ts";
import { loadResizing } from "#db/billing/resizing.ts";
import { loadService } from "#db/billing/services.ts";
import { inTransaction } from "#db/transaction.ts";
import { loadVm } from "#db/vms/vms.ts";
import type { ControlPlane } from "./control-plane.ts";
import { anActiveVm, aNewVersion, aWorld, hostSees, type World } from "./world.ts";

export const LARGE = { vcpus: 2, memoryMib: 2048, diskGib: 40 };
export const LARGE_LIMITS = { bandwidthMbit: 2000, diskIops: 900 };

/** A VM that runs, of the first version of its plan; a second one is twice as large, and sold for 900 a month. */
export const aVmToResize = async (
  cp: ControlPlane,
  options: Parameters<typeof aWorld>[1] = {},
): Promise<Vm> => aVmToResizeIn(cp, await aWorld(cp, { places: 4, ...options }));

export async function aVmToResizeIn(cp: ControlPlane, world: World): Promise<Vm> {
  const { vmId, orderId } = await anActiveVm(cp, world);
  const version = await aNewVersion(cp, world.planId, {
    ...LARGE,
    ...LARGE_LIMITS,
    prices: [
      { interval: "month", amountMinor: "900", currency: "usd" },
      { interval: "year", amountMinor: "9000", currency: "usd" },
    ],
  });
  return { world, vmId, orderId, version };
}
export type Vm = Readonly<{ world: World; vmId: string; orderId: string; version: number }>;

/** What is offered to its buyer, as `quoteResize` stores it, from what is had now. */
export async function aStoredQuote(
  cp: ControlPlane,
  { world, vmId, version }: Vm,
  over: Partial<Quote> = {},
): Promise<Quote> {
  const { db } = cp.deps;
  const now = cp.clock.now();
  const [service, vm, plan] = await inTransaction(db, async (tx) => [
    await loadService(tx, vmId),
    await loadVm(tx, vmId),
    await loadPlan(tx, { planId: world.planId, planVersion: version }),
  ]);
  if (!vm) throw new Error(`there is no VM ${vmId}`);
  const { vcpus, memoryMib, diskGib, bandwidthMbit, diskIops } = vm;
  const price = plan.prices.find(({ interval }) => interval === "month");
  const at = new Date(Math.floor(+now / 1000) * 1000);
  const usd = (minor: bigint) => ({ minor, currency: "usd" }) as const;
  const quote: Quote = {
    id: v7(),
    vmId,
    askedBy: world.buyer.accountId,
    from: {
      planId: service.planId,
      planVersion: service.planVersion,
      price: service.price,
      machine: { vcpus, memoryMib, diskGib, bandwidthMbit, diskIops },
    },
    to: {
      planId: plan.id,
      planVersion: plan.version,
      price: service.price && price ? { interval: "month", amount: price.amount } : null,
      machine: { ...plan.size, bandwidthMbit: plan.bandwidthMbit, diskIops: plan.diskIops },
    },
    when: "now",
    billing: "prorate",
    order: "pay_first",
    paysBy: "card",
    method: "live",
    downSeconds: 0,
    dueNow: usd(400n),
    credit: usd(0n),
    tax: usd(0n),
    lines: [],
    at,
    appliesAt: at,
    differsBy: usd(0n),
    basis: "",
    createdAt: now,
    expiresAt: new Date(+now + 15 * 60_000),
    ...over,
  };
  const found = await loadResizing(db, vmId);
  if (!found) throw new Error(`there is no VM ${vmId}`);
  const basis = basisOf(stateOf(found, now), quote.to, await billedOf(cp.deps, found));
  return insertQuote(db, { ...quote, basis, ...over });
}

/** Takes a quote as the route does. */
export async function take(
  cp: ControlPlane,
  { world, vmId }: Pick<Vm, "world" | "vmId">,
  quoteId: string,
) {
  const asked = { who: world.buyer, vmId, quoteId };
  return beginPlanChange(cp.deps, { ...asked, ...(await makeWay(cp.deps, asked)) });
}

/** Its host shows it as it is desired now, or otherwise. */
export async function isSeen(
  cp: ControlPlane,
  { world, vmId }: Pick<Vm, "world" | "vmId">,
  over: Partial<{ generation: number; size: typeof LARGE; limits: object; power: string }> = {},
): Promise<void> {
  const vm = await loadVm(cp.deps.db, vmId);
  if (!vm) throw new Error(`there is no VM ${vmId}`);
  const { generation = vm.generation, ...seen } = over;
  await hostSees(cp, world.hostId, vmId, {
    generation,
    observed: {
      size: { vcpus: vm.vcpus, memoryMib: vm.memoryMib, diskGib: vm.diskGib },
      limits: { bandwidthMbit: vm.bandwidthMbit, diskIops: vm.diskIops },
      ...(seen as object),
    },
  });
}

/** From now on its subscription is paid with another card, as Stripe's tests name them. */
export async function paysWith(
  cp: ControlPlane,
  { vmId }: Pick<Vm, "vmId">,
  token: "chargeCustomerFail" | "authenticationRequired",
): Promise<void> {
  const { dashboard } = cp.stripe;
  const { id, customer } = await subscriptionOf(cp, vmId);
  const method = await dashboard.paymentMethods.attach(`pm_card_${token}`, { customer });
  await dashboard.subscriptions.update(id, { default_payment_method: method.id });
  await cp.pump();
}

/** From now on it is paid otherwise than by card. */
export async function paysOtherwise(
  cp: ControlPlane,
  { vmId }: Pick<Vm, "vmId">,
  how: "bank" | "sent" = "bank",
): Promise<void> {
  const { dashboard } = cp.stripe;
  const { id, customer } = await subscriptionOf(cp, vmId);
  if (how === "sent") {
    const sent = { collection_method: "send_invoice", days_until_due: 14 } as const;
    await dashboard.subscriptions.update(id, sent);
  } else {
    const bank = await dashboard.paymentMethods.attach("pm_usBankAccount", { customer });
    await dashboard.subscriptions.update(id, { default_payment_method: bank.id });
  }
  await cp.pump();
}

async function subscriptionOf(cp: ControlPlane, vmId: string) {
  const [row] = await cp.rows("select subscription_id as id from services where vm_id = $1", vmId);
  const id = String(row?.["id"]);
  const { customer, items, status } = await cp.stripe.dashboard.subscriptions.retrieve(id);
  const { unit_amount: price } = items.data[0]?.price ?? {};
  return { id, customer: typeof customer === "string" ? customer : customer.id, price, status };
}

/** What a payer does on the page that the change's action shows. */
export async function onItsPage(
  cp: ControlPlane,
  { vmId }: Pick<Vm, "vmId">,
  form: { card: string } | { authenticate: "succeed" },
): Promise<number> {
  const [row] = await cp.rows(
    "select pay_url as url from plan_changes where vm_id = $1 order by id desc limit 1",
    vmId,
  );
  const body = new URLSearchParams(form);
  const page = new Request(String(row?.["url"]), { method: "POST", body });
  return (await cp.stripe.standIn.fetch(page)).status;
}

/** What the provider bills for it, what its cards have paid and did not get back, and what it owes or is owed. */
export async function moneyOf(cp: ControlPlane, { vmId }: Pick<Vm, "vmId">) {
  const { dashboard } = cp.stripe;
  const { id, customer, price } = await subscriptionOf(cp, vmId);
  const charges = await dashboard.charges.list({ customer, limit: 100 });
  const invoices = await dashboard.invoices.list({ subscription: id, limit: 100 });
  const found = await dashboard.customers.retrieve(customer);
  const kept = charges.data
    .filter(({ paid }) => paid)
    .reduce((sum, { amount, amount_refunded: back }) => sum + amount - back, 0);
  return {
    billed: price,
    kept,
    balance: found.deleted === true ? null : found.balance,
    open: invoices.data.filter(({ status }) => status === "open").length,
  };
}

/** Time passes, and all that moves by itself does. */
export async function later(cp: ControlPlane, minutes: number): Promise<void> {
  cp.clock.advanceMinutes(minutes);
  cp.stripe.standIn.runDue();
  await followPlanChanges(cp.deps);
  await cp.pump();
}

/** What is had, held and wanted, in one look. */
export async function standsAt(cp: ControlPlane, { vmId }: Pick<Vm, "vmId">) {
  const [row] = await cp.rows(
    `select s.plan_version as version, s.amount_minor::int as price, v.vcpus, v.memory_mib as memory, v.disk_gib as disk,
       v.bandwidth_mbit as bandwidth, v.disk_iops as iops, r.vcpus as held_vcpus, r.memory_mib as held_memory, r.disk_gib as held_disk,
       h.allocated_vcpus as allocated
     from services s join vms v on v.id = s.vm_id join hosts h on h.id = v.host_id
       left join reservations r on r.vm_id = v.id and r.released_at is null
     where s.vm_id = $1`,
    vmId,
  );
  const [change] = await cp.rows(
    `select c.money, c.machine, c.turned_back as why, c.outcome, a.status, a.error_code as error
     from plan_changes c join actions a on a.id = c.action_id where c.vm_id = $1 order by c.id desc limit 1`,
    vmId,
  );
  return { ...row, ...change };
}
