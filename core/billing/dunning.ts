const DAY_MS = 24 * 60 * 60_000;

/**
 * How far what is owed for a VM has led. `begun`: an invoice that was sent is not paid, and its lease is over: the reminder falls due.
 * `reminded`: that has left. `suspended`: the VM is off, and its owner was told. `ending`: its subscription is being ended.
 * `terminated`: it has ended; what is on the VM is kept.
 */
export const DUNNING_STATES = ["begun", "reminded", "suspended", "ending", "terminated"] as const;
export type DunningState = (typeof DUNNING_STATES)[number];

/**
 * What became of it. `lifted`: the VM may run again, being paid for or by staff's word. `revived`: after its end it was bought anew.
 * `deleted`: what was kept is gone by this. `dropped`: it ended in another way: its owner deleted it, or staff did.
 */
export const DUNNING_OUTCOMES = ["lifted", "revived", "deleted", "dropped"] as const;
export type DunningOutcome = (typeof DUNNING_OUTCOMES)[number];

/**
 * How patient we are, in days, each from when the step before was *done*, so that an outage of ours skips no warning: from the
 * reminder (or the end of what is paid, whichever is later) to the suspension, from that to the end of the subscription, and from
 * that to the deletion of what is kept. A version is never changed.
 */
export type DunningPolicy = Readonly<{
  version: number;
  suspendDays: number;
  terminateDays: number;
  deleteDays: number;
}>;

export type Dunning = Readonly<{ state: DunningState; stateAt: Date }>;

/** What is so when its turn has come. */
export type DunningSeen = Readonly<{
  /** Paid, or by staff's word: until when the VM may run, but for the suspend days (`runsUntil`); and with them (`hostStopsAt`). */
  runsUntil: Date;
  stopsAt: Date;
  /** The VM is to be gone. */
  vmIsToGo: boolean;
  /** Its subscription is over for good, by whoever's word. */
  hasEnded: boolean;
  /** The reminder has left, or will never leave. */
  isReminded: boolean;
  /** What is on it may not be deleted: by a suspension of staff's, or as a page to revive it is open. */
  isKept: boolean;
}>;

/** What is done next: a move to that state, its end with that outcome, or nothing before then. */
export type DunningStep =
  | Readonly<{ do: "move"; to: DunningState }>
  | Readonly<{ do: "close"; outcome: DunningOutcome }>
  | Readonly<{ do: "end_subscription" | "delete" }>
  | Readonly<{ do: "wait"; until: Date }>;

const AGAIN_MS = 60_000;
const soon = (now: Date): DunningStep => ({ do: "wait", until: new Date(+now + AGAIN_MS) });
const after = (days: number, since: Date, now: Date, then: DunningStep): DunningStep => {
  const at = new Date(+since + days * DAY_MS);
  return now < at ? { do: "wait", until: at } : then;
};

/** The next step of a dunning. It looks at what is, never at what was to be: whoever's turn is late skips no step by that. */
export function nextDunningStep(
  { state, stateAt }: Dunning,
  policy: DunningPolicy,
  seen: DunningSeen,
  now: Date,
): DunningStep {
  if (seen.vmIsToGo) return { do: "close", outcome: "dropped" };
  if (state === "terminated") {
    const then: DunningStep = seen.isKept
      ? { do: "wait", until: new Date(+now + DAY_MS) }
      : { do: "delete" };
    return after(policy.deleteDays, stateAt, now, then);
  }
  if (seen.hasEnded) return { do: "move", to: "terminated" };
  // Its end is on its way: what is paid from now on goes back.
  if (state === "ending") return { do: "end_subscription" };
  if (seen.runsUntil > now) return { do: "close", outcome: "lifted" };
  switch (state) {
    case "begun":
      return seen.isReminded ? { do: "move", to: "reminded" } : soon(now);
    case "reminded":
      return seen.stopsAt > now
        ? { do: "wait", until: seen.stopsAt }
        : { do: "move", to: "suspended" };
    case "suspended":
      // It could run again since, and may no more: it is owed anew, and is warned of anew.
      if (seen.stopsAt > stateAt) return { do: "close", outcome: "lifted" };
      return after(policy.terminateDays, stateAt, now, { do: "move", to: "ending" });
  }
}

/** When each step that is still ahead falls due at the earliest, for whom it befalls; null: it is done, or cannot be told yet. */
export function aheadOf(
  { state, stateAt }: Dunning,
  { terminateDays, deleteDays }: DunningPolicy,
  stopsAt: Date,
): Readonly<{ suspendsAt: Date | null; endsAt: Date | null; deletesAt: Date | null }> {
  const since = (at: Date, days: number) => new Date(+at + days * DAY_MS);
  const suspendsAt = state === "begun" || state === "reminded" ? stopsAt : null;
  const endsAt =
    suspendsAt !== null
      ? since(suspendsAt, terminateDays)
      : state === "suspended"
        ? since(stateAt, terminateDays)
        : null;
  const deletesAt =
    state === "terminated"
      ? since(stateAt, deleteDays)
      : endsAt !== null
        ? since(endsAt, deleteDays)
        : null;
  return { suspendsAt, endsAt, deletesAt };
}

/**
 * Until which instant a payment of the subscription counts, when it is ended for debt. The provider tells time to the second, and
 * was asked after that instant whether it is paid: what is paid in the same second has crossed.
 */
export const lastPaidBefore = (endingAt: Date): Date =>
  new Date(Math.floor(+endingAt / 1000) * 1000 - 1);
