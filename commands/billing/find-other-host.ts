import { whyNoMove, type OtherHost } from "#core/billing/move-and-resize.ts";
import type { MachineSize } from "#core/billing/quote.ts";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { Capacity } from "#core/hosts/capacity.ts";
import { createFreePlaces, type OfferedHost } from "#core/hosts/free-places.ts";
import { limitsOf } from "#core/hosts/limits.ts";
import { firstAgainst, silentBefore, type VmDemand } from "#core/hosts/place-vm.ts";
import { WHY_NOT_HERE, type WhyNotHere } from "#core/hosts/why-not-here.ts";
import { preflight, type End } from "#core/moves/preflight.ts";
import type { Resizing } from "#db/billing/resizing.ts";
import { loadImage, type Image } from "#db/catalogue/catalogue.ts";
import { hostsThatTake } from "#db/hosts/capacity.ts";
import { factsOf, type Host } from "#db/hosts/hosts.ts";
import { kindsById, kindsOfHosts, type KindHere } from "#db/hosts/kinds.ts";
import type { Deps } from "#commands/deps.ts";
import { demandOfMove, endOfKind } from "#commands/moves/plan-move.ts";

/** A host that a VM could move to, or why there is none, in words. */
export type FoundHost = OtherHost | Readonly<{ id: null; detail: string }>;

type Location = Readonly<{
  hosts: ReadonlyMap<string, Host>;
  places: ReturnType<typeof createFreePlaces>;
}>;
type Kinds = ReadonlyMap<string, KindHere>;
type Against = ReadonlyMap<string, WhyNotHere | null>;

/** What hosts give of themselves to a VM that comes to them. */
export const otherHost = (host: Pick<Host, "id">, facts: HostFacts, free: Capacity): OtherHost => ({
  id: host.id,
  means: { capabilities: facts.capabilities, limits: limitsOf(facts) },
  free,
});

/**
 * Finds for one VM after the other the host of its location that placement would put it on, and what one of them is given is not there for the
 * next. Hosts, kinds and images are read once for all, the first time that one is looked for, so that it costs no statement a VM; and nothing
 * where no VM has to move. Nothing is held by it.
 */
export function createOtherHosts({ db }: Pick<Deps, "db">, now: Date) {
  const given: { hostId: string; more: Capacity }[] = [];
  const known: Location[] = [];
  const [images, locations] = [once<Image>(), once<Location>()];
  const [kinds, against, ends] = [once<Kinds>(), once<Against>(), once<End | null>()];

  const locationOf = (locationId: string) =>
    locations(locationId, async () => {
      const heardSince = silentBefore(now);
      const hosts = (await hostsThatTake(db, { locationId, heardSince })).filter(takesDisks);
      const places = createFreePlaces(hosts.flatMap(offeredBy));
      for (const { hostId, more } of given) places.take(hostId, more);
      const location = { hosts: new Map(hosts.map((host) => [host.id, host])), places };
      known.push(location);
      return location;
    });
  const imageOf = (id: string) =>
    images(id, async () => {
      const image = await loadImage(db, id);
      if (!image) throw new Error(`image ${id} vanished`);
      return image;
    });
  const kindsThere = (locationId: string, { file }: Image) =>
    kinds(`${locationId} ${file}`, async () => {
      const here = await kindsOfHosts(db, { locationId, files: [file] });
      return new Map(here.map((kind) => [kind.kindId, kind]));
    });
  /** A kind that no host which takes VMs is of is asked for by itself. */
  const endAt = (host: Host, { file }: Image, there: Kinds): Promise<End | null> =>
    ends(`${host.id} ${file}`, async () => {
      const { kindId } = host;
      if (kindId === null) return null;
      const its = there.has(kindId)
        ? there
        : await kinds(`${kindId} ${file}`, () => kindsById(db, [kindId], [file]));
      return endOfKind(host, its.get(kindId));
    });

  return {
    /** Where it would go. `isSuspended`: it arrives off. */
    async find(
      { vm, host, running }: Pick<Resizing, "vm" | "host" | "running">,
      machine: MachineSize,
      isSuspended: boolean,
    ): Promise<FoundHost> {
      const image = await imageOf(vm.imageId);
      const { hosts, places } = await locationOf(vm.locationId);
      const there = await kindsThere(vm.locationId, image);
      const demand = demandOfMove(vm, image, machine);
      const moved = { ...demand, needs: [...demand.needs, "moveCold" as const] };
      const found = places.best({
        os: image.os,
        size: demand.size,
        against: await against(`${vm.locationId} ${nameOf(moved)}`, async () => {
          const each = [...there].map(([id, kind]) => [id, firstAgainst(kind, moved)] as const);
          return new Map(each);
        }),
        isOut: (id) => id === host.id,
      });
      if (found.hostId === null) return { id: null, detail: whyNone(found.against) };
      const destination = hosts.get(found.hostId);
      if (!destination) throw new Error(`host ${found.hostId} was offered and is not known`);
      const [source, to] = [
        await endAt(host, image, there),
        await endAt(destination, image, there),
      ];
      if (!source || !to)
        return { id: null, detail: "what its host's agent last said of it cannot be read" };
      const at = { ...to, candidate: { ...to.candidate, free: found.free } };
      const moving = { ...vm, runningAction: running, openMove: null, isSuspended };
      const { checks } = preflight(moving, demand, { source, destination: at }, "auto", now);
      const why = whyNoMove(checks);
      return why === null || why.passes
        ? otherHost(destination, at.facts, found.free)
        : { id: null, detail: why.detail };
    },
    /** What somebody is to have of a host: it is not there for who comes after. */
    take(hostId: string, more: Capacity): void {
      given.push({ hostId, more });
      for (const { places } of known) places.take(hostId, more);
    },
  };
}

/** An agent that takes no disks was given no address for that. */
const takesDisks = (host: Host): boolean => factsOf(host)?.migrationAddress !== undefined;

const offeredBy = (host: Host): readonly OfferedHost[] => {
  const { id, hypervisor, kindId } = host;
  return kindId === null || hypervisor === null
    ? []
    : [{ id, hypervisor, kindId, free: freeOf(host) }];
};

const freeOf = ({ capacity, allocated }: Host): Capacity => ({
  vcpus: capacity.vcpus - allocated.vcpus,
  memoryMib: capacity.memoryMib - allocated.memoryMib,
  diskGib: capacity.diskGib - allocated.diskGib,
  vms: capacity.vms - allocated.vms,
});

/** By all that `firstAgainst` looks at. */
const nameOf = ({ size, image, needs }: VmDemand): string =>
  [size.vcpus, size.memoryMib, size.diskGib, image.file, ...needs].join(" ");

const whyNone = (against: ReadonlyMap<WhyNotHere, number>): string =>
  against.size === 0
    ? "no other host of its location takes VMs, and disks of others, now"
    : `of the other hosts of its location none can take it: ${[...against]
        .map(([code, hosts]) => `${hosts} × ${WHY_NOT_HERE[code]}`)
        .join("; ")}`;

/** Each is asked for once, by its name. */
function once<T>() {
  const answers = new Map<string, Promise<T>>();
  return (name: string, ask: () => Promise<T>): Promise<T> => {
    const answer = answers.get(name) ?? ask();
    answers.set(name, answer);
    return answer;
  };
}
