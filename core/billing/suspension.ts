/**
 * Why a VM may not run though it is paid. `overdue` is no such reason: it follows from the lease, so that a payment ends it and
 * nothing else here.
 */
export const SUSPENSIONS = ["abuse", "bandwidth", "dispute", "staff"] as const;
export type Suspension = (typeof SUSPENSIONS)[number];

/** The set with this reason in it, or without. In one order, so that the same set is always the same. */
export const withReason = (
  before: readonly Suspension[],
  reason: Suspension,
  is: boolean,
): readonly Suspension[] =>
  SUSPENSIONS.filter((each) => (each === reason ? is : before.includes(each)));

/** All that a customer may read in `suspended`. */
export const SUSPENSION_REASONS = ["overdue", ...SUSPENSIONS] as const;
export type SuspensionReason = (typeof SUSPENSION_REASONS)[number];

/** What each means to whom it befalls. What staff wrote of it is for staff. */
export const SUSPENSION_WORDS = {
  overdue: "It is not paid for. It starts again once it is.",
  abuse: "It was reported for abuse. Please answer our support, who lift it.",
  bandwidth: "It sent or received far more than its plan allows. Please ask our support.",
  dispute: "A payment for it is disputed at the bank. Please ask our support.",
  staff: "Our staff have suspended it. Please ask our support.",
} as const satisfies Record<SuspensionReason, string>;

/** While one of these holds nobody but staff deletes the VM: what is on it may be asked for. */
const KEEPS_DATA: ReadonlySet<Suspension> = new Set(["abuse", "dispute"]);
export const keepsData = (suspensions: readonly Suspension[]): boolean =>
  suspensions.some((reason) => KEEPS_DATA.has(reason));
