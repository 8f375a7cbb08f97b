import type { FindingKey, Found } from "./finding.ts";

/** How far a host is with an image that it should hold, in its own words. */
export const FETCH_STATES = ["waiting", "fetching", "held", "failed"] as const;
type FetchState = (typeof FETCH_STATES)[number];

/** The same as staff see it. `fetched`: it lies there, and is not in the list of what the host makes VMs from yet. */
export const HOST_IMAGE_STATES = [
  "waiting",
  "fetching",
  "failed",
  "fetched",
  "held",
  "other_file",
] as const;
export type HostImageState = (typeof HOST_IMAGE_STATES)[number];

/** What lies on the host counts before what its agent told of fetching. */
export function hostImageState(image: {
  wanted: string;
  held: { sha256: string | null; changed: boolean } | null;
  fetch: FetchState | null;
}): HostImageState {
  const { wanted, held, fetch } = image;
  if (held !== null && (held.changed || (held.sha256 !== null && held.sha256 !== wanted)))
    return "other_file";
  if (held?.sha256 === wanted) return "held";
  return held !== null || fetch === "held" ? "fetched" : (fetch ?? "waiting");
}

/** What a host's word on its images shows to be amiss, and what to be over: one that is tried again has still failed. */
export function foundInFetches(
  fetches: readonly { file: string; state: FetchState; why: string | null }[],
): { told: readonly Found[]; over: readonly FindingKey[] } {
  const kind = "image_fetch_failed";
  return {
    told: fetches
      .filter(({ state, why }) => state !== "held" && why !== null)
      .map(({ file, why }) => ({ kind, subject: file, vmId: null, detail: why ?? "" })),
    over: fetches
      .filter(({ state }) => state === "held")
      .map(({ file }) => ({ kind, subject: file })),
  };
}
