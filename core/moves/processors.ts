import type { HostCpu } from "#core/contracts/agent/report.ts";

const MOST_NAMED = 5;

/**
 * Why a guest that was started on the one processor cannot run on upon the other: it has found out what that can do, and uses it. null:
 * nothing speaks against it, or a host does not say; the hypervisors look once more before anything is copied.
 */
export function whyNotOnCpu(
  source: HostCpu | undefined,
  destination: HostCpu | undefined,
): string | null {
  if (source === undefined || destination === undefined) return null;
  const [from, to] = [source.vendor ?? null, destination.vendor ?? null];
  if (from !== to && from !== null && to !== null)
    return `its host's processors are ${from}'s, and that host's are ${to}'s`;
  const there = new Set(destination.features);
  const missing = source.features.filter((feature) => !there.has(feature));
  if (missing.length === 0) return null;
  const more = missing.length - MOST_NAMED;
  const named = [...missing.slice(0, MOST_NAMED), ...(more > 0 ? [`${more} more`] : [])];
  return `that host's processors lack ${named.join(", ")} of its host's`;
}
