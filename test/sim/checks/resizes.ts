import type { VmRecord } from "#host-agent/drivers/simulated/world.ts";
import type { Stripe } from "stripe";
import { PLANS, PRICES } from "../fixture.ts";
import type { Row } from "../mirror.ts";
import { hasLostChange } from "./lost-hour.ts";
import { first, isThere, machines, nowOf, runs, type MakeCheck, type Scene } from "./scene.ts";

/** What a plan gives a machine, as quotes have it. */
type Machine = Row<"resize_quotes">["offered"]["to"]["machine"];

const HOUR_MS = 3_600_000;
/**
 * Sweeps that ended well since a deadline: each may find the provider away at one of the calls that it takes to take a price
 * back, and goes on from there at the next.
 */
const SWEEPS = 12;

/** What a version of a plan gives; undefined: it came in hours that are lost. */
export function soldAs(scene: Scene, planId: string, version: number): Machine | undefined {
  if (version === 1) {
    const { vcpus, memoryMib, diskGib, bandwidthMbit, diskIops } =
      PLANS.find(({ id }) => id === planId) ?? PLANS[0];
    return { vcpus, memoryMib, diskGib, bandwidthMbit, diskIops };
  }
  const row = scene.mirror.planVersions.get(`${planId}/${version}`);
  return row && machineOf(row);
}

/** As a VM's row has it, or a plan's. */
export const machineOf = (
  row: Pick<Row<"vms">, "vcpus" | "memory_mib" | "disk_gib" | "bandwidth_mbit" | "disk_iops">,
): Machine => ({
  vcpus: row.vcpus,
  memoryMib: row.memory_mib,
  diskGib: row.disk_gib,
  bandwidthMbit: row.bandwidth_mbit,
  diskIops: row.disk_iops,
});

const UNLIMITED = { bandwidthMbit: null, diskIops: null };
/** What its host holds it to in truth. */
const trueSize = ({ size, limits = UNLIMITED }: VmRecord): Machine => ({ ...size, ...limits });

export const sameButDisk = (a: Machine, b: Machine): boolean =>
  a.vcpus === b.vcpus &&
  a.memoryMib === b.memoryMib &&
  a.bandwidthMbit === b.bandwidthMbit &&
  a.diskIops === b.diskIops;
const same = (a: Machine, b: Machine) => sameButDisk(a, b) && a.diskGib === b.diskGib;

/** A disk that has grown stays, and is not charged. */
const isMore = (is: Machine, paid: Machine): boolean =>
  is.vcpus > paid.vcpus ||
  is.memoryMib > paid.memoryMib ||
  (is.bandwidthMbit ?? Infinity) > (paid.bandwidthMbit ?? Infinity) ||
  (is.diskIops ?? Infinity) > (paid.diskIops ?? Infinity);

const inWords = (m: Machine) => Object.values(m).join("/");

/** An invoice that a change asked for, and the change's id. */
type Charge = Readonly<{ invoice: Stripe.Invoice; changeId: string }>;

const askedBy = (invoice: Stripe.Invoice): string | undefined =>
  invoice.billing_reason === "subscription_update"
    ? invoice.parent?.subscription_details?.metadata?.["asked_change_id"]
    : undefined;

function* charges({ provider }: Scene): Generator<Charge> {
  for (const invoice of provider.standIn.store.all("invoice")) {
    const changeId = askedBy(invoice);
    // A period that begins anew is no change's, though its subscription still names the last one.
    const isOfChange = invoice.lines.data.some(
      ({ parent }) => parent?.subscription_item_details?.proration === true,
    );
    if (invoice.status !== "paid" || !isOfChange) continue;
    if (changeId !== undefined && !changeId.startsWith("undo_")) yield { invoice, changeId };
  }
}

const refundsOf = ({ provider }: Scene, changeId: string): number =>
  provider.standIn.store
    .all("refund")
    .filter((r) => r.metadata?.["undone_change_id"] === changeId && r.status === "succeeded")
    .reduce((sum, { amount }) => sum + amount, 0);

/** What the provider was told of a VM's change while the database knew of it, and it does not know now. */
const isLost = (scene: Scene, changeId: string): boolean => {
  const vmId =
    scene.mirror.planChanges.get(changeId)?.vm_id ??
    scene.restores.flatMap(({ planChanges }) => planChanges.get(changeId)?.vm_id ?? [])[0];
  return vmId !== undefined && hasLostChange(scene, vmId);
};

/**
 * 21. A charge for a resize ends with the new size seen or with the money back, by its deadline: an hour after it was paid, and as
 * many sweeps as that may take. Never both, and never in part. What counts as seen is so on its host.
 */
export const chargesAreServed: MakeCheck = (scene) => {
  const waited = new Map<string, { sweeps: number; swept: number | null }>();
  return {
    invariant: 21,
    onCommit: () =>
      first(scene.mirror.planChanges.changed, ({ before, after }) => {
        if (after?.machine !== "seen" || before?.machine === "seen") return undefined;
        const found = [...machines(scene)].find(({ vm }) => vm.vmId === after.vm_id);
        const { machine } = scene.mirror.offerOf(after).to;
        if (found === undefined || !isThere(found.vm) || same(trueSize(found.vm), machine))
          return undefined;
        return `VM ${after.vm_id} counts as ${inWords(machine)}, and is ${inWords(trueSize(found.vm))}`;
      }),
    onStep: () => {
      const { began } = scene.swept;
      if (began === null || (scene.mirror.planChanges.rows.size === 0 && !scene.restores.length))
        return undefined;
      return first(charges(scene), ({ invoice, changeId }) => {
        const known = waited.get(changeId) ?? { sweeps: 0, swept: null };
        if (known.swept === began) return undefined;
        waited.set(changeId, known);
        known.swept = began;
        const change = scene.mirror.planChanges.get(changeId);
        const back = refundsOf(scene, changeId);
        if (back > invoice.amount_paid)
          return `${invoice.id} took ${invoice.amount_paid}, and ${back} of it went back`;
        if (change?.outcome === "committed" && back > 0 && !isLost(scene, changeId))
          return `VM ${change.vm_id} has its new size, and the money back`;
        const isServed = change?.outcome === "committed" || back === invoice.amount_paid;
        const paidAt = (invoice.status_transitions.paid_at ?? Infinity) * 1000;
        // Counted is from when the other has said that it is paid: a message may be lost, and the sweep asks.
        if (isServed || isLost(scene, changeId) || began < paidAt + HOUR_MS) return undefined;
        known.sweeps++;
        return known.sweeps < SWEEPS || isBeingSeen(scene, change)
          ? undefined
          : `${invoice.id} was paid ${Math.round((nowOf(scene) - paidAt) / 60_000)} min ago, and neither is VM ${change?.vm_id} resized nor the money back`;
      });
    },
    atRest: () =>
      first(scene.mirror.planChanges.all(), (change) => endOf(scene, change)) ??
      first(charges(scene), ({ invoice, changeId }) => {
        const change = scene.mirror.planChanges.get(changeId);
        if (isLost(scene, changeId)) return undefined;
        if (change === undefined) return `${invoice.id} was paid for a change that nobody knows`;
        const back = refundsOf(scene, changeId);
        if (change.outcome === "committed")
          return back === 0 ? undefined : `change ${changeId} is made, and ${back} of it went back`;
        const kept = keptOf(scene, { invoice, changeId });
        return kept === 0 && back === invoice.amount_paid
          ? undefined
          : `change ${changeId} is not made, ${back} of ${invoice.amount_paid} went back, and ${kept} was kept`;
      }) ??
      first(scene.provider.standIn.store.all("subscription"), ({ id, pending_update: pending }) => {
        const changeId = pending?.metadata?.["change_id"];
        if (changeId === undefined || isLost(scene, changeId)) return undefined;
        const change = scene.mirror.planChanges.get(changeId);
        return change !== undefined && change.outcome === null
          ? undefined
          : `${id} waits for money for a change that is over`;
      }),
  };
};

/** It was paid later than its invoice says, by what we knew: then an hour from then is its deadline. */
const isBeingSeen = (scene: Scene, change: Row<"plan_changes"> | undefined): boolean =>
  change?.turned_back === null &&
  change.priced_at !== null &&
  nowOf(scene) < change.priced_at + 2 * HOUR_MS;

/** In the end only what waits for its renewal is open, and each machine is what its row says. */
function endOf(scene: Scene, change: Row<"plan_changes">): string | undefined {
  if (hasLostChange(scene, change.vm_id)) return undefined;
  if (change.outcome === null)
    return change.reserved_at === null
      ? undefined
      : `change ${change.id} of VM ${change.vm_id} is ${change.money}, ${change.machine}, for ever`;
  const row = scene.mirror.vms.get(change.vm_id);
  const found = [...machines(scene)].find(({ vm }) => vm.vmId === change.vm_id);
  if (!row || row.presence === "absent" || !found || !isThere(found.vm)) return undefined;
  return same(trueSize(found.vm), machineOf(row))
    ? undefined
    : `VM ${row.id} is to be ${inWords(machineOf(row))}, and is ${inWords(trueSize(found.vm))}`;
}

/** What of a change that was taken back its payer is out of, in minor units: from their card and of their balance. */
function keptOf(scene: Scene, { invoice, changeId }: Charge): number {
  const { store } = scene.provider.standIn;
  const from = (of: Stripe.Invoice) =>
    Math.min(
      ...of.lines.data
        .filter((line) => line.parent?.subscription_item_details?.proration === true)
        .map((line) => line.period.start),
    );
  const moved = ({ starting_balance: a, ending_balance: b }: Stripe.Invoice) => (b ?? a) - a;
  // Taken back from its own instant on; after its period it is for another time.
  const undone = store
    .all("invoice")
    .filter((other) => askedBy(other) === `undo_${changeId}` && from(other) === from(invoice));
  const given = store
    .all("balance_transaction")
    .filter((t) => t.metadata?.["undone_change_id"] === changeId);
  return (
    invoice.amount_paid -
    refundsOf(scene, changeId) +
    moved(invoice) +
    undone.reduce((sum, other) => sum + moved(other) + other.amount_paid, 0) +
    given.reduce((sum, { amount }) => sum + amount, 0)
  );
}

/** What the provider bills for, by the price that it has: of our plans which version, and by which interval. */
function billedAs(
  scene: Scene,
  subscription: Stripe.Subscription,
): { planId: string; version: number; interval: string } | undefined {
  const key = subscription.items.data[0]?.price.lookup_key?.replace("berth-", "");
  const known = key === undefined ? undefined : scene.mirror.planPrices.get(key);
  const fixed = PRICES.find(({ id }) => id === key);
  if (known !== undefined)
    return { planId: known.plan_id, version: known.plan_version, interval: known.interval };
  return fixed && { ...fixed, version: 1 };
}

const subscriptionOf = ({ provider }: Scene, service: Row<"services">) =>
  service.subscription_id === null
    ? undefined
    : provider.standIn.store.get("subscription", service.subscription_id);

/**
 * 22. Nobody runs for longer than the deadline at more than is paid: what its host gives a VM in truth against what its
 * subscription bills for. Counted is time in which its host is well, and sweeps that ended well. In the end what was
 * bought is what is billed.
 */
export const sizesArePaid: MakeCheck = (scene) => {
  const over = new Map<string, { since: number; sweeps: number; swept: number | null }>();
  return {
    invariant: 22,
    onCommit: () =>
      first(scene.mirror.planChanges.changed, ({ before, after }) => {
        if (after?.machine !== "applying" || before?.machine === "applying") return undefined;
        const { to, order } = scene.mirror.offerOf(after);
        const service = scene.mirror.services.get(after.vm_id);
        const subscription = service && subscriptionOf(scene, service);
        if (order !== "pay_first" || subscription === undefined) return undefined;
        // Staff have granted it for the price that is paid already.
        if (to.priceKept === true) return undefined;
        const billed = billedAs(scene, subscription);
        return billed?.planId === to.planId && billed.version === to.planVersion
          ? undefined
          : `the host of VM ${after.vm_id} is told of a size that is not paid`;
      }),
    onStep: () => {
      const { began } = scene.swept;
      if (began === null || scene.mirror.planChanges.rows.size === 0) return undefined;
      return first(machines(scene), ({ host, vm }) => {
        const service = scene.mirror.services.get(vm.vmId);
        const subscription = service && subscriptionOf(scene, service);
        const now = nowOf(scene);
        const billed = subscription && billedAs(scene, subscription);
        // By a price that was kept more is granted than it would buy.
        const paid = service?.price_kept
          ? soldAs(scene, service.plan_id, service.plan_version)
          : billed && soldAs(scene, billed.planId, billed.version);
        if (!paid || !runs(vm, now) || !isMore(trueSize(vm), paid)) {
          over.delete(vm.vmId);
          return undefined;
        }
        const known = over.get(vm.vmId) ?? { since: now, sweeps: 0, swept: began };
        over.set(vm.vmId, known);
        if (host.upSince === null || host.cut || hasLostChange(scene, vm.vmId)) {
          over.delete(vm.vmId);
          return undefined;
        }
        known.since = Math.max(known.since, host.upSince);
        if (known.swept === began || began < known.since + HOUR_MS) return undefined;
        known.swept = began;
        known.sweeps++;
        return known.sweeps < SWEEPS
          ? undefined
          : `VM ${vm.vmId} is ${inWords(trueSize(vm))} for ${Math.round((now - known.since) / 60_000)} min, and ${inWords(paid)} is paid`;
      });
    },
    atRest: () =>
      first(scene.mirror.services.all(), (service) => {
        const subscription = subscriptionOf(scene, service);
        const vm = scene.mirror.vms.get(service.vm_id);
        if (!subscription || subscription.status === "canceled" || vm?.presence !== "present")
          return undefined;
        if (hasLostChange(scene, service.vm_id)) return undefined;
        const billed = billedAs(scene, subscription);
        const isOfItsPrice =
          service.price_kept ||
          (billed?.planId === service.plan_id && billed.version === service.plan_version);
        return isOfItsPrice &&
          billed?.interval === service.interval &&
          subscription.items.data[0]?.price.unit_amount === service.amount_minor
          ? undefined
          : `VM ${service.vm_id} was bought as ${service.plan_id}/${service.plan_version}, and ${subscription.id} bills for ${billed?.planId}/${billed?.version}`;
      }),
  };
};

/**
 * 22. Nobody is given more than is paid, nor less: what was bought is what was ordered, or what a quote that was carried out
 * offered, however its plan has changed since; and the VM is to be so, or as a change that its host was told of has it.
 */
export const ordersAreKept: MakeCheck = (scene) => ({
  invariant: 22,
  onCommit: () =>
    first(scene.mirror.services.changed, ({ before, after }) => {
      if (after === null || (before !== null && isAsBought(before, after))) return undefined;
      const ended = scene.mirror.planChanges.changed.find(
        (c) => c.after?.vm_id === after.vm_id && c.after.outcome === "committed",
      );
      const order = scene.mirror.orderOf(after.vm_id);
      const { to } = (ended?.after && scene.mirror.offerOf(ended.after)) ?? {};
      const is = to
        ? { plan_id: to.planId, plan_version: to.planVersion, amount_minor: to.price?.amount.minor }
        : { ...order, amount_minor: order?.total_minor };
      return (before === null || to !== undefined) &&
        is.plan_id === after.plan_id &&
        is.plan_version === after.plan_version &&
        is.amount_minor === after.amount_minor
        ? undefined
        : `VM ${after.vm_id} was bought as another than was ordered`;
    }) ??
    first(scene.mirror.vms.changed, ({ after }) => {
      const service = after && scene.mirror.services.get(after.id);
      // One that is to go is told of no size any more.
      if (!after || !service || after.presence === "absent") return undefined;
      const sold = soldAs(scene, service.plan_id, service.plan_version);
      const changes = scene.mirror.planChanges
        .all()
        .filter(({ vm_id: vmId }) => vmId === after.id)
        .map((change) => ({ change, offered: scene.mirror.offerOf(change) }));
      const told = changes.flatMap(({ change, offered }) =>
        change.machine === "applying" || change.machine === "seen" ? [offered.to.machine] : [],
      );
      const may = [...(sold ? [sold] : []), ...told];
      const disks = [
        ...may,
        ...changes.flatMap(({ offered }) => [offered.from.machine, offered.to.machine]),
      ].map(({ diskGib }) => diskGib);
      return may.some((each) => sameButDisk(each, machineOf(after))) &&
        disks.includes(after.disk_gib)
        ? undefined
        : `VM ${after.id} is not of the size that was bought`;
    }),
});

const isAsBought = (a: Row<"services">, b: Row<"services">): boolean =>
  a.plan_id === b.plan_id &&
  a.plan_version === b.plan_version &&
  a.interval === b.interval &&
  a.amount_minor === b.amount_minor;

/** 14. A VM is never larger than what its host holds for it, in any resource; in the end no more is held than it is to have. */
export const roomIsHeld: MakeCheck = (scene) => ({
  invariant: 14,
  onStep: () => {
    if (scene.mirror.planChanges.rows.size === 0) return undefined;
    return first(machines(scene), ({ host, vm }) => {
      const row = scene.mirror.vms.get(vm.vmId);
      // What was lost, and is found as it was, is made what it is to be again.
      if (row?.presence !== "present" || hasLostChange(scene, vm.vmId) || wasLost(scene, vm.vmId))
        return undefined;
      const held = scene.mirror.reservations
        .all()
        .find((r) => r.vm_id === vm.vmId && r.released_at === null);
      return held !== undefined &&
        vm.size.vcpus <= held.vcpus &&
        vm.size.memoryMib <= held.memory_mib &&
        vm.size.diskGib <= held.disk_gib
        ? undefined
        : `VM ${vm.vmId} is ${inWords(trueSize(vm))}, and ${host.name} holds ${held?.vcpus}/${held?.memory_mib}/${held?.disk_gib} for it`;
    });
  },
  atRest: () =>
    first(scene.mirror.reservations.all(), (held) => {
      const row = scene.mirror.vms.get(held.vm_id);
      if (held.released_at !== null || row?.presence !== "present") return undefined;
      return held.vcpus === row.vcpus &&
        held.memory_mib === row.memory_mib &&
        held.disk_gib === row.disk_gib
        ? undefined
        : `VM ${row.id} is to be ${inWords(machineOf(row))}, and ${held.vcpus}/${held.memory_mib}/${held.disk_gib} is held for it`;
    }),
});

const wasLost = ({ mirror }: Scene, vmId: string): boolean =>
  mirror.losses.all().some((loss) => loss.vm_id === vmId);

/** 9. What a change takes is what was offered, to the cent. */
export const chargedAsOffered: MakeCheck = (scene) => ({
  invariant: 9,
  atRest: () =>
    first(charges(scene), ({ invoice, changeId }) => {
      const change = scene.mirror.planChanges.get(changeId);
      if (change === undefined || isLost(scene, changeId)) return undefined;
      const { lines } = scene.mirror.offerOf(change);
      const sum = lines.reduce((all, { amount }) => all + amount.minor, 0n);
      return lines.length === 0 || sum === BigInt(invoice.total)
        ? undefined
        : `${invoice.id} came to ${invoice.total}, and ${sum} was offered`;
    }) ??
    first(scene.provider.standIn.store.all("invoice"), (invoice) => {
      const sum = invoice.lines.data.reduce((all, { amount }) => all + amount, 0);
      return sum === invoice.total
        ? undefined
        : `${invoice.id} came to ${invoice.total}, and its lines to ${sum}`;
    }),
});
