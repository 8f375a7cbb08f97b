import type { FindingKey, Found } from "./finding.ts";
import type { ImageSourceKind } from "./image-peers.ts";

/** How far a host is with an image that it should hold, in its own words. */
export const FETCH_STATES = ["waiting", "fetching", "held", "failed"] as const;
type FetchState = (typeof FETCH_STATES)[number];

export type ImageCameFrom = Readonly<{ source: ImageSourceKind | null; peerId: string | null }>;

/**
 * Whence an image came, by a host's word as far as it says both things that belong together. An agent that was started anew has
 * forgotten it of what it holds: then what it said before stands.
 */
export function cameFrom(
  told: Readonly<{
    state: FetchState;
    source?: ImageSourceKind | undefined;
    peerId?: string | undefined;
  }>,
  before: (ImageCameFrom & Readonly<{ state: FetchState }>) | null,
): ImageCameFrom {
  const { state, source, peerId } = told;
  if (source === "peer" && peerId !== undefined) return { source, peerId };
  if (source === "url") return { source, peerId: null };
  if (state === "held" && before?.state === "held")
    return { source: before.source, peerId: before.peerId };
  return { source: null, peerId: null };
}

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
