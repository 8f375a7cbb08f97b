import { ENTITLEMENT_GRACE_MS } from "#core/billing/entitlement.ts";
import type { DesiredDocument, DesiredVm } from "#core/contracts/agent/desired.ts";

/** The whole desired document of a host, for an agent of the newest protocol; its hash is made when its shape is final. */
export const renderDesired = (
  hostId: string,
  desired: Readonly<{ generation: number; vms: readonly DesiredVm[] }>,
): Omit<DesiredDocument, "hash"> => ({
  hostId,
  generation: desired.generation,
  entitlementGraceSeconds: ENTITLEMENT_GRACE_MS / 1000,
  vms: [...desired.vms],
});
