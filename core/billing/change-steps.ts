import type { ActionStep } from "#core/vms/action-steps.ts";
import type { PlanChange } from "./plan-change.ts";

/** Of a change: all that its steps go by. */
export type SteppedChange = Pick<
  PlanChange,
  | "order"
  | "money"
  | "machine"
  | "turnedBack"
  | "outcome"
  | "createdAt"
  | "reservedAt"
  | "pricedAt"
  | "appliedAt"
  | "seenAt"
  | "turnedBackAt"
  | "endedAt"
>;

type Planned = Readonly<{ name: ActionStep["name"]; endedAt: Date | null }>;

/** The way there, in order, each step with the instant at which it was done. */
function planned(change: SteppedChange): readonly Planned[] {
  const pay: readonly Planned[] =
    change.money === "exempt" ? [] : [{ name: "pay", endedAt: change.pricedAt }];
  const make: readonly Planned[] =
    change.machine === "none"
      ? []
      : [
          { name: "apply", endedAt: change.appliedAt },
          { name: "verify", endedAt: change.seenAt },
        ];
  return [
    { name: "reserve", endedAt: change.reservedAt },
    ...(change.order === "pay_first" ? [...pay, ...make] : [...make, ...pay]),
    { name: "commit", endedAt: change.outcome === "committed" ? change.endedAt : null },
  ];
}

/**
 * How far a change is. One that was turned back stopped at the step that it was at, and goes back in one step of its own, `revert`,
 * which ends when all is as it was.
 */
export function stepsOfChange(change: SteppedChange): readonly ActionStep[] {
  const { turnedBackAt, endedAt } = change;
  let before: Date | null = change.createdAt;
  const there = planned(change).map(({ name, endedAt: finishedAt }): ActionStep => {
    const startedAt = before;
    if (startedAt === null) return { name, status: "pending", startedAt: null, finishedAt: null };
    before = finishedAt;
    if (finishedAt !== null) return { name, status: "success", startedAt, finishedAt };
    return turnedBackAt === null
      ? { name, status: "running", startedAt, finishedAt: null }
      : { name, status: "error", startedAt, finishedAt: turnedBackAt };
  });
  if (turnedBackAt === null) return there;
  const status = endedAt === null ? "running" : "success";
  return [...there, { name: "revert", status, startedAt: turnedBackAt, finishedAt: endedAt }];
}

/** Percent, by the steps that are done; of one that goes back, by those too. */
export function progressOfChange(change: SteppedChange): number {
  if (change.outcome !== null) return 100;
  const steps = stepsOfChange(change);
  const done = steps.filter(({ status }) => status === "success").length;
  return Math.min(99, Math.floor((done / steps.length) * 100));
}
