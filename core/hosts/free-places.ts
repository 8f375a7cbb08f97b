import type { Capacity } from "./capacity.ts";
import { byScore, FULL, type HostCandidate } from "./place-vm.ts";
import type { WhyNotHere } from "./why-not-here.ts";
import type { OsFamily, VmSize } from "#core/vms/vm.ts";

/** A host with what is free on it. */
export type OfferedHost = Pick<HostCandidate, "id" | "hypervisor" | "free"> &
  Readonly<{ kindId: string }>;

export type WantedPlace = Readonly<{
  os: OsFamily;
  size: VmSize;
  /** What stands against it on hosts of a kind, however empty they are; of a kind that is not named nothing is known. */
  against: ReadonlyMap<string, WhyNotHere | null>;
  /** What cannot be it, whatever its room. */
  isOut: (hostId: string) => boolean;
}>;

/** Where it goes, by the score of placement; or how many hosts there are against which each of these stands. */
export type FoundPlace =
  | Readonly<{ hostId: string; free: Capacity }>
  | Readonly<{ hostId: null; against: ReadonlyMap<WhyNotHere, number> }>;

/**
 * Hosts of one location for whoever plans thousands of VMs there at once: what one of them is given is not there for the next. Each look goes
 * over all of them and asks for room first, which is cheap: what a kind cannot do was asked before.
 */
export function createFreePlaces(offered: readonly OfferedHost[]) {
  const hosts = offered.map((host) => ({ ...host, free: { ...host.free } }));
  const byId = new Map(hosts.map((host) => [host.id, host]));
  return {
    /** So much more of it is given away; of a host that is none of these nothing is. */
    take(hostId: string, { vcpus, memoryMib, diskGib, vms }: Capacity): void {
      const host = byId.get(hostId);
      if (host === undefined) return;
      host.free.vcpus -= vcpus;
      host.free.memoryMib -= memoryMib;
      host.free.diskGib -= diskGib;
      host.free.vms -= vms;
    },
    best({ os, size, against, isOut }: WantedPlace): FoundPlace {
      const better = byScore(os);
      const reasons = new Map<WhyNotHere, number>();
      let best: (typeof hosts)[number] | undefined;
      for (const host of hosts) {
        const ofKind = against.get(host.kindId);
        if (ofKind === undefined || isOut(host.id)) continue;
        const why = ofKind ?? whyFull(host.free, size);
        if (why !== null) reasons.set(why, (reasons.get(why) ?? 0) + 1);
        else if (best === undefined || better(host, best) < 0) best = host;
      }
      return best === undefined
        ? { hostId: null, against: reasons }
        : { hostId: best.id, free: { ...best.free } };
    },
  };
}

/** As `lacksRoom` has it, and nothing is made for it: it is asked millions of times. */
function whyFull(free: Capacity, size: VmSize): WhyNotHere | null {
  if (size.memoryMib > free.memoryMib) return FULL.memoryMib;
  if (size.vcpus > free.vcpus) return FULL.vcpus;
  if (size.diskGib > free.diskGib) return FULL.diskGib;
  return free.vms < 1 ? FULL.vms : null;
}
