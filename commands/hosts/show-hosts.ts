import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { MaintenanceWindow } from "#core/hosts/maintenance.ts";
import { silentBefore, type HostCandidate, type HostKind } from "#core/hosts/place-vm.ts";
import { demandsOf, whyNotKnown, whyNoVms, type WhyNoVms } from "#core/hosts/why-no-vms.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { listImages, listPlans } from "#db/catalogue/catalogue.ts";
import { countOpenFindings, listFindings, type Finding } from "#db/hosts/findings.ts";
import { heldImagesOf } from "#db/hosts/held-images.ts";
import {
  factsOf,
  listHosts,
  loadHost,
  type Host,
  type HostFilter,
  type HostSort,
} from "#db/hosts/hosts.ts";
import { kindsById } from "#db/hosts/kinds.ts";
import { countTold, openWindowOf } from "#db/hosts/maintenance.ts";
import { countedDrainOf, type CountedDrain } from "#db/moves/drains.ts";
import type { Deps } from "#commands/deps.ts";
import { orderedPage } from "#commands/keyset.ts";
import type { Page, PageRequest } from "#commands/page.ts";

export type { Host };

/** A host, how it stands, and why. */
export type HostStanding = Readonly<{
  host: Host;
  facts: HostFacts | null;
  /** When its agent was last heard of, if that is too long ago; null: it is heard of, or never was. */
  silentSince: Date | null;
  whyNoVms: WhyNoVms;
  openFindings: number;
}>;
export type HostDetails = HostStanding &
  Readonly<{
    /** null: its agent does not say. */
    images: Awaited<ReturnType<typeof heldImagesOf>> | null;
    /** What is planned, or goes on, and how many customers were told of it. */
    maintenance: Readonly<{ window: MaintenanceWindow; told: number }> | null;
    /** How far it is emptied; null: it is not. */
    drain: CountedDrain | null;
    /** The newest of what is open. */
    findings: readonly Finding[];
  }>;

type Read = Pick<Deps, "db" | "clock">;
const MOST_FINDINGS_SHOWN = 100;

/** However many hosts a page has, it is read by as many statements. */
export async function showHosts(
  deps: Read,
  filter: HostFilter,
  sort: HostSort,
  page: PageRequest,
): Promise<Result<Page<HostStanding>, Refusal<"cursor_invalid">>> {
  const found = await orderedPage(
    {
      list: "hosts",
      sort: `${sort.by} ${sort.down}`,
      key: sort.by === "name" ? "text" : undefined,
      filter,
    },
    page,
    (at) => listHosts(deps.db, filter, sort, at),
    ({ id, name }) => ({ key: sort.by === "name" ? name : "", id }),
  );
  if (!found.ok) return found;
  const { items, nextCursor } = found.value;
  return ok({ items: await standingOf(deps, items), nextCursor });
}

export async function showHost(
  deps: Read,
  hostId: string,
): Promise<Result<HostDetails, Refusal<"host_not_found">>> {
  const host = await loadHost(deps.db, hostId);
  const [standing] = host ? await standingOf(deps, [host]) : [];
  if (!standing) return refuse("host_not_found", "no such host");
  const [window, images, drain, findings] = await Promise.all([
    openWindowOf(deps.db, hostId, "maintenance"),
    standing.facts?.images === undefined ? null : heldImagesOf(deps.db, hostId),
    standing.host.state === "draining" ? countedDrainOf(deps.db, hostId) : null,
    listFindings(
      deps.db,
      { state: "open", hostId, vmId: null, kind: null },
      { limit: MOST_FINDINGS_SHOWN, after: null },
    ),
  ]);
  const maintenance = window ? { window, told: await countTold(deps.db, window) } : null;
  return ok({ ...standing, maintenance, images, drain, findings: findings.rows });
}

async function standingOf(
  { db, clock }: Read,
  hosts: readonly Host[],
): Promise<readonly HostStanding[]> {
  const now = clock.now();
  const kindIds = [...new Set(hosts.flatMap(({ kindId }) => kindId ?? []))];
  const ids = hosts.map(({ id }) => id);
  const [plans, images, open] = await Promise.all([
    listPlans(db),
    listImages(db),
    countOpenFindings(db, ids),
  ]);
  const kinds = await kindsById(db, kindIds, [...new Set(images.map(({ file }) => file))]);
  const demands = demandsOf(plans, images);
  return hosts.map((host) => {
    const kind = kinds.get(host.kindId ?? "");
    const isSilent = host.lastSeenAt !== null && host.lastSeenAt < silentBefore(now);
    return {
      host,
      facts: factsOf(host),
      silentSince: isSilent ? host.lastSeenAt : null,
      whyNoVms: kind ? whyNoVms(candidateOf(host, kind), demands, now) : whyNotKnown(host, now),
      openFindings: open.get(host.id) ?? 0,
    };
  });
}

export const candidateOf = (
  { id, state, lastSeenAt, capacity, allocated }: Host,
  kind: HostKind,
): HostCandidate => ({
  ...kind,
  id,
  state,
  lastSeenAt,
  free: {
    vcpus: capacity.vcpus - allocated.vcpus,
    memoryMib: capacity.memoryMib - allocated.memoryMib,
    diskGib: capacity.diskGib - allocated.diskGib,
    vms: capacity.vms - allocated.vms,
  },
});
