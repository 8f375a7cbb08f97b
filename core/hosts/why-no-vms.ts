import {
  againstHost,
  needsOf,
  whyNotHere,
  type HostCandidate,
  type ImageDemand,
  type VmDemand,
} from "./place-vm.ts";
import { WHY_NOT_HERE_CODES, type WhyNotHere } from "./why-not-here.ts";
import type { VmSize } from "#core/vms/vm.ts";

type SoldPlan = Readonly<{ size: VmSize; bandwidthMbit: number | null; diskIops: number | null }>;
type SoldImage = ImageDemand & Readonly<{ minMemoryMib: number; minDiskGib: number }>;

export const isBigEnough = ({ size }: Pick<SoldPlan, "size">, image: SoldImage): boolean =>
  size.memoryMib >= image.minMemoryMib && size.diskGib >= image.minDiskGib;

export const demandOf = (plan: SoldPlan, image: ImageDemand): VmDemand => ({
  size: plan.size,
  image,
  needs: needsOf(plan),
});

/** What can be ordered, of what is on sale. */
export const demandsOf = (
  plans: readonly SoldPlan[],
  images: readonly SoldImage[],
): readonly VmDemand[] =>
  plans.flatMap((plan) =>
    images.filter((image) => isBigEnough(plan, image)).map((image) => demandOf(plan, image)),
  );

/**
 * `all`: why it gets no VM, whatever of what is sold is ordered; empty when it would be given one. Of what stands against each
 * of them, what stands against those that it is nearest to. `some`: all that keeps it from some of what is sold.
 */
export type WhyNoVms = Readonly<{ all: readonly WhyNotHere[]; some: readonly WhyNotHere[] }>;

export function whyNoVms(host: HostCandidate, demands: readonly VmDemand[], now: Date): WhyNoVms {
  if (demands.length === 0) {
    const all = inOrder(new Set<WhyNotHere>([...againstHost(host, now), "nothing_sold"]));
    return { all, some: all };
  }
  const against = demands.map((demand) => new Set(whyNotHere(host, demand, now)));
  const fewest = Math.min(...against.map((codes) => codes.size));
  const nearest = against.filter((codes) => codes.size === fewest);
  const together = (sets: readonly ReadonlySet<WhyNotHere>[]) =>
    inOrder(new Set(sets.flatMap((codes) => [...codes])));
  return { all: together(nearest), some: together(against) };
}

/** Of one that placement never sees: its kind is not known. */
export function whyNotKnown(
  host: Pick<HostCandidate, "state" | "lastSeenAt">,
  now: Date,
): WhyNoVms {
  const known = [...againstHost(host, now)];
  const all: readonly WhyNotHere[] =
    host.state === "enrolling" ? known : inOrder(new Set([...known, "facts_unreadable" as const]));
  return { all, some: all };
}

const inOrder = (codes: ReadonlySet<WhyNotHere>): readonly WhyNotHere[] =>
  WHY_NOT_HERE_CODES.filter((code) => codes.has(code));
