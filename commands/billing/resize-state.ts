import { isOverdue } from "#core/billing/entitlement.ts";
import type { Billed } from "#core/billing/price-changes.ts";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { Bought } from "#core/billing/quote.ts";
import type { ResizeState, ResizeTarget } from "#core/billing/resize.ts";
import { limitsOf } from "#core/hosts/limits.ts";
import { seenSizeFromRow } from "#core/vms/seen-size.ts";
import type { Resizing } from "#db/billing/resizing.ts";
import type { Plan } from "#db/catalogue/catalogue.ts";
import { factsOf } from "#db/hosts/hosts.ts";
import { hashOf } from "#commands/forced.ts";
import type { Deps } from "#commands/deps.ts";

/** What our rows say, as the decision looks at it. */
export function stateOf(
  found: Resizing,
  now: Date,
  facts: HostFacts | null = factsOf(found.host),
): ResizeState {
  const { vm, service, host, image, plan } = found;
  const { planId, planVersion, price } = service;
  const { vcpus, memoryMib, diskGib, bandwidthMbit, diskIops } = vm;
  const seen = seenSizeFromRow(vm);
  return {
    vmId: vm.id,
    payer: service.payer,
    bought: {
      planId,
      planVersion,
      price,
      machine: { vcpus, memoryMib, diskGib, bandwidthMbit, diskIops },
    },
    planDiskGib: plan.diskGib,
    downgrade: plan.downgrade,
    isPriceKept: service.priceKept,
    isFrozen: found.frozenAt !== null,
    isSuspended: service.suspensions.length > 0 || isOverdue(service, now),
    isToEnd: service.endWanted,
    isDelivered: isDelivered(found),
    isLost: vm.lostAt !== null,
    running: found.running,
    seen: {
      size: seen.size ?? { vcpus, memoryMib, diskGib },
      limits: seen.limits,
      hotVcpus: vm.seenHotVcpus,
    },
    power: vm.observedPower ?? vm.desiredPower,
    host: {
      id: host.id,
      state: host.state,
      means: facts && {
        capabilities: facts.capabilities,
        limits: limitsOf(facts),
        imageMinMemoryMib: image.minMemoryMib,
      },
      free: {
        vcpus: host.capacity.vcpus - host.allocated.vcpus,
        memoryMib: host.capacity.memoryMib - host.allocated.memoryMib,
        diskGib: host.capacity.diskGib - host.allocated.diskGib,
        vms: host.capacity.vms - host.allocated.vms,
      },
      ...(found.held && { held: found.held }),
    },
    image,
  };
}

const DELIVERED: ReadonlySet<string | null> = new Set(["active", "completed"]);
const isDelivered = ({ vm, orderState }: Resizing): boolean =>
  orderState === null ? vm.firstSeenAt !== null : DELIVERED.has(orderState);

export const targetOf = (plan: Plan): ResizeTarget => ({
  planId: plan.id,
  version: plan.version,
  available: plan.available,
  size: plan.size,
  bandwidthMbit: plan.bandwidthMbit,
  diskIops: plan.diskIops,
  prices: plan.prices.map(({ interval, amount }) => ({ interval, amount })),
});

/** What its subscription is billed for now; null: none pays for it. Asks the provider. */
export const billedOf = async (
  deps: Pick<Deps, "payments">,
  { service }: Resizing,
): Promise<Billed | null> =>
  service.subscriptionId === null ? null : deps.payments.fetchBilled(service.subscriptionId);

/**
 * Names all that a quote was worked out from: what was bought and is wanted, its machine and host, and what it is billed for. Of
 * something else by then there is another.
 */
export const basisOf = (state: ResizeState, to: Bought, billed: Billed | null): string => {
  const { vmId, payer, bought, planDiskGib, downgrade, host } = state;
  const from = { vmId, payer, bought, planDiskGib, downgrade, hostId: host.id };
  // In what JSON knows: instants as text, and amounts too.
  const text = JSON.stringify({ from, to, billed }, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
  return hashOf(JSON.parse(text));
};
