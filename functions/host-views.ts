import {
  HOST_HINT_CODES,
  HOST_HINTS,
  type HostDetailsView,
  type HostHint,
  type HostStandingView,
} from "#core/contracts/api/host-standing.ts";
import type { MaintenanceView } from "#core/contracts/api/hosts.ts";
import type { MissingCapability } from "#core/contracts/agent/report.ts";
import { LACKING, WHY_NOT_HERE, type WhyNotHere } from "#core/hosts/why-not-here.ts";
import { toWireId } from "#core/ids.ts";
import type { AgentRelease } from "#commands/fleet/register-release.ts";
import type { HostDetails, HostStanding } from "#commands/hosts/show-hosts.ts";
import { toDrainView } from "./drain-views.ts";
import { toFindingView, toHostView } from "./views.ts";

const lackingCode = new Map<string, WhyNotHere>(Object.entries(LACKING));

/** The words of a code, with its host's own reason where it gives one. */
function toObstacle(code: WhyNotHere, missing: readonly MissingCapability[]) {
  const told = missing.find(({ capability }) => lackingCode.get(capability) === code);
  return { code, detail: told ? `${WHY_NOT_HERE[code]}: ${told.why}` : WHY_NOT_HERE[code] };
}

export const toHostStandingView = (
  s: HostStanding,
  releases: readonly AgentRelease[],
): HostStandingView => {
  const missing = s.facts?.missing ?? [];
  return {
    ...toHostView(s.host, releases),
    silentSince: s.silentSince?.toISOString() ?? null,
    whyNoVms: s.whyNoVms.all.map((code) => toObstacle(code, missing)),
    whyNotAll: s.whyNoVms.some.map((code) => toObstacle(code, missing)),
    openFindings: s.openFindings,
  };
};

const HINTS_OF = {
  test_mark_on_hardware: ({ host, facts }) =>
    host.testOnly && facts !== null && facts.accelerator === "hardware",
  images_not_told: ({ facts }) => facts !== null && facts.images === undefined,
} as const satisfies Record<HostHint, (s: HostStanding) => boolean>;

const toMaintenanceView = ({
  window,
  told,
}: NonNullable<HostDetails["maintenance"]>): MaintenanceView => ({
  startsAt: window.startsAt.toISOString(),
  endsAt: window.endsAt.toISOString(),
  noticeHours: window.noticeHours,
  begunAt: window.begunAt?.toISOString() ?? null,
  told,
});

/** The host that an image came from. */
export const toImageOrigin = (host: Readonly<{ id: string; name: string }> | null) =>
  host && { id: toWireId("host", host.id), name: host.name };

export const toHostDetailsView = (
  d: HostDetails,
  releases: readonly AgentRelease[],
): HostDetailsView => ({
  ...toHostStandingView(d, releases),
  maintenance: d.maintenance && toMaintenanceView(d.maintenance),
  drain: d.drain && toDrainView(d.drain),
  capabilities: Object.fromEntries(
    Object.entries(d.facts?.capabilities ?? {}).map(([name, can]) => [name, can === true]),
  ),
  missing: missingOf(d),
  images:
    d.images &&
    d.images.map(({ sourceHost, ...image }) => ({
      ...image,
      sourceHost: toImageOrigin(sourceHost),
    })),
  strangers: d.findings
    .filter(({ kind, vmId }) => kind === "stranger" && vmId !== null)
    .map(({ vmId, subject, detail, firstSeenAt }) => ({
      vmId: toWireId("vm", vmId ?? subject),
      detail,
      since: firstSeenAt.toISOString(),
    })),
  findings: d.findings.map(toFindingView),
  hints: HOST_HINT_CODES.filter((code) => HINTS_OF[code](d)).map((code) => ({
    code,
    detail: HOST_HINTS[code],
  })),
});

/** Each that it lacks; an agent of before gives no reasons, and does not name what came after it. */
function missingOf({ facts }: HostStanding): MissingCapability[] {
  if (facts === null) return [];
  const told = new Map((facts.missing ?? []).map(({ capability, why }) => [capability, why]));
  return Object.entries(facts.capabilities)
    .filter(([capability, can]) => !can && capability !== "emulation")
    .map(([capability]) => ({
      capability,
      why: told.get(capability) ?? "its agent is of before reasons were told",
    }));
}
