/**
 * `cordoned`: nothing new comes to it, and what is on it stays as it is. `draining`: the same, while what is on it is moved away.
 * `maintenance`: somebody is at it, for a time that was announced; nothing new comes, and until then it may be silent.
 * `retired`: it is gone for good.
 */
export const HOST_STATES = [
  "enrolling",
  "active",
  "cordoned",
  "draining",
  "maintenance",
  "retired",
] as const;
export type HostState = (typeof HOST_STATES)[number];

export const HOST_COMMANDS = [
  "enroll",
  "cordon",
  "drain",
  "begin_maintenance",
  "activate",
  "retire",
] as const;
export type HostCommand = (typeof HOST_COMMANDS)[number];

/**
 * Every legal move. A pair that is absent is refused; there is no other list. A move to where it is already changes nothing. An
 * active host is not retired at once: first it is cordoned, so that what comes meanwhile does not stand in the way. One in maintenance is not
 * emptied: somebody is at it.
 */
export const HOST_MOVES = {
  enrolling: { enroll: "active", retire: "retired" },
  active: {
    enroll: "active",
    cordon: "cordoned",
    drain: "draining",
    begin_maintenance: "maintenance",
    activate: "active",
  },
  cordoned: {
    enroll: "cordoned",
    cordon: "cordoned",
    drain: "draining",
    begin_maintenance: "maintenance",
    activate: "active",
    retire: "retired",
  },
  draining: {
    enroll: "draining",
    cordon: "cordoned",
    drain: "draining",
    begin_maintenance: "maintenance",
    activate: "active",
    retire: "retired",
  },
  maintenance: {
    enroll: "maintenance",
    cordon: "cordoned",
    begin_maintenance: "maintenance",
    activate: "active",
    retire: "retired",
  },
  retired: { retire: "retired" },
} as const satisfies Record<HostState, Partial<Record<HostCommand, HostState>>>;

export function nextHostState(from: HostState, command: HostCommand): HostState | undefined {
  const moves: Partial<Record<HostCommand, HostState>> = HOST_MOVES[from];
  return moves[command];
}

/** What is sold may be put on it, and what is on it may grow. */
export const takesNew = (state: HostState): boolean => state === "active";
