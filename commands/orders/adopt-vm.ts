import { canonicalJson } from "#core/contracts/canonical-json.ts";
import { UnknownToProvider, type CheckoutState } from "#core/billing/payments.ts";
import type { Order } from "#core/orders/order.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { isAccount } from "#db/accounts/accounts.ts";
import { loadImage, loadPlanVersions, type Plan, type PlanPrice } from "#db/catalogue/catalogue.ts";
import { reserve } from "#db/hosts/capacity.ts";
import { loadHost } from "#db/hosts/hosts.ts";
import { loadUnknownVm, type UnknownVm } from "#db/hosts/restores.ts";
import { leaseThis, nicsOf } from "#db/network/addresses.ts";
import { insertOrder, loadOrder } from "#db/orders/orders.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { loadVm } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { hashOf, refuseOther, type Asked, type ForcedPlan } from "#commands/forced.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";
import { followProvider } from "./follow-provider.ts";

/** Whose VM it is and what was paid for it: a host knows neither, so staff say it. */
export type Adoption = Readonly<{
  vmId: string;
  checkoutId: string;
  accountId: string;
  planId: string;
}>;
type AdoptRefusal = Refusal<"vm_not_found" | "adoption_refused" | "plan_changed">;
type Planned = Readonly<{
  vm: UnknownVm;
  order: Order;
  plan: Plan;
  hash: string;
  effects: string[];
}>;

/**
 * Makes a VM known again that a host holds and a restored database does not: its order is written as it was placed, with its
 * place and its address, and then follows the provider as any order does, which books its payments and makes its VM's row. The
 * host's agent finds the VM there. Adopting twice is refused as `vm_not_found`: it is known by then.
 *
 * Throws when the provider cannot be reached.
 */
export async function adoptVm(
  deps: Deps,
  by: Actor,
  asked: Adoption & Asked,
): Promise<Result<ForcedPlan, AdoptRefusal>> {
  const planned = await plan(deps, asked);
  if (!planned.ok) return planned;
  const { effects, hash, order } = planned.value;
  if (asked.dryRun) return ok({ effects, hash });
  const same = refuseOther({ hash }, asked.hash);
  if (!same.ok) return same;
  const written = await write(deps, by, planned.value);
  if (!written.ok) return written;
  await followProvider(deps, order.id, { actor: by });
  return ok({ effects, hash });
}

const refused = (why: string) => refuse("adoption_refused", why);

async function plan(deps: Deps, asked: Adoption): Promise<Result<Planned, AdoptRefusal>> {
  const { db, payments } = deps;
  const vm = await loadUnknownVm(db, asked.vmId);
  if (!vm || (await loadVm(db, asked.vmId)))
    return refuse("vm_not_found", "no host tells of such a VM that is not known");
  const checkout = await payments.fetchCheckout(asked.checkoutId).catch((error: unknown) => {
    if (error instanceof UnknownToProvider) return null;
    throw error;
  });
  if (checkout?.orderId == null || !checkout.paid || checkout.settled === null)
    return refused("the provider has no such session of ours that is paid");
  if (await loadOrder(db, checkout.orderId)) return refused("the session's order is known");
  if (!(await isAccount(db, asked.accountId))) return refused("no such account");
  // Nobody remembers which version was sold: of those that it fits, the newest that costs what was paid.
  const ofItsSize = (await loadPlanVersions(db, asked.planId)).filter(
    (version) => canonicalJson(version.size) === canonicalJson(sizeOf(vm)),
  );
  const [newest] = ofItsSize;
  if (!newest) return refused("the VM is not of that plan's size");
  const image = await loadImage(db, vm.imageId);
  if (!image) return refused("its image is not in the catalogue: add it first");
  const host = await loadHost(db, vm.hostId);
  if (!host) throw new Error(`host ${vm.hostId} vanished`);
  const sold = ofItsSize.find((version) => priceOf(version, checkout)) ?? newest;
  const order = orderOf(asked, { vm, checkout, locationId: host.locationId, plan: sold }, deps);
  if (order === undefined) return refused("what was paid is none of the plan's prices");
  const effects = [
    `order ${order.id} of account ${order.accountId} is written as placed, for ${sold.name} with ${image.name}`,
    `VM ${vm.vmId} takes its place on host ${host.name}, with address ${vm.address}`,
    `its payments are booked by session ${checkout.id}; the VM stays as it is`,
  ];
  const { vmId, checkoutId, accountId, planId } = asked;
  const of = { vmId, checkoutId, accountId, planId, effects };
  const hash = hashOf(of);
  return ok({ vm, order, plan: sold, effects, hash });
}

const sizeOf = ({ vcpus, memoryMib, diskGib }: UnknownVm) => ({ vcpus, memoryMib, diskGib });

const priceOf = (plan: Plan, { settled }: CheckoutState): PlanPrice | undefined =>
  plan.prices.find(
    ({ amount }) => amount.minor === settled?.listMinor && amount.currency === settled.currency,
  );

/** Without keys and user-data: those served the first boot, which was. */
function orderOf(
  asked: Adoption,
  of: { vm: UnknownVm; checkout: CheckoutState; plan: Plan; locationId: string },
  { clock }: Pick<Deps, "clock">,
): Order | undefined {
  const { vm, checkout, plan: sold, locationId } = of;
  const price = priceOf(sold, checkout);
  if (price === undefined || checkout.orderId === null) return undefined;
  const now = clock.now();
  return {
    id: checkout.orderId,
    accountId: asked.accountId,
    vmId: vm.vmId,
    state: "awaiting_payment",
    planId: sold.id,
    planVersion: sold.version,
    imageId: vm.imageId,
    locationId,
    hostname: vm.hostname,
    sshKeys: [],
    userData: null,
    rootPassword: false,
    billingInterval: price.interval,
    listMinor: price.amount.minor,
    discountMinor: 0n,
    taxMinor: 0n,
    currency: price.amount.currency,
    checkoutId: checkout.id,
    byCard: false,
    cardId: null,
    subscriptionId: null,
    trialPolicy: null,
    declineCode: null,
    checkoutUrl: checkout.url,
    expiresAt: now,
    paidAt: null,
    createdAt: now,
    newcomer: false,
    network: null,
    version: 1,
  };
}

async function write(
  deps: Deps,
  by: Actor,
  { vm, order, plan: sold }: Planned,
): Promise<Result<undefined, AdoptRefusal>> {
  const at = stamp(deps);
  return undoOnRefusal(deps.db, async (tx): Promise<Result<undefined, AdoptRefusal>> => {
    await insertOrder(tx, order);
    const place = { vmId: vm.vmId, hostId: vm.hostId, size: sold.size, isThere: true, now: at.now };
    if (!(await reserve(tx, { id: at.newId(), ...place })))
      return refused("its host has no room for it by its ceiling: raise that first");
    await leaseThis(tx, {
      id: at.newId(),
      address: vm.address,
      locationId: order.locationId,
      vmId: vm.vmId,
      now: at.now,
    });
    const nics = await nicsOf(tx, [vm.vmId], () => null);
    if (nics.get(vm.vmId)?.[0]?.ipv4.address !== vm.address)
      return refused(`its address ${vm.address} is another VM's by now`);
    await recordChange(
      tx,
      {
        actor: by,
        action: "order.adopt",
        subject: { kind: "order", id: order.id },
        detail: { vm_id: vm.vmId, host_id: vm.hostId, list_minor: order.listMinor.toString() },
        events: [{ name: "order.placed.v1", data: { orderId: order.id } }],
      },
      at,
    );
    return ok(undefined);
  });
}
