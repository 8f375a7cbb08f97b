/** What staff may ask to have destroyed of a customer's, by another one's word (ADR 0048). */
export const DESTROY_KINDS = ["delete", "give_up", "recreate"] as const;
export type DestroyKind = (typeof DESTROY_KINDS)[number];

export const DESTROY_ENDS = ["confirmed", "withdrawn", "expired"] as const;
export type DestroyEnd = (typeof DESTROY_ENDS)[number];

/** How long another one has to confirm it. */
export const DESTROY_REQUEST_LASTS_MS = 24 * 60 * 60_000;
export const MAX_REASON_LENGTH = 1000;

export type DestroyRequest = Readonly<{
  id: string;
  vmId: string;
  how: DestroyKind;
  reason: string;
  askedBy: string;
  askedAt: Date;
  expiresAt: Date;
  end: DestroyEnd | null;
}>;
