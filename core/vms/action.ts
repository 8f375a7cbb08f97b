import type { DesiredPower, OneShotAction, Repair, StopMode } from "./vm.ts";

/** Operations on a VM that a customer or staff can see (design §6). `create` is begun by a paid order. */
export const ACTION_TYPES = [
  "create",
  "start",
  "shutdown",
  "stop",
  "reboot",
  "reset",
  "delete",
  /** Staff's, of a VM that its host has lost (`REPAIRS`). */
  "adopt_disk",
  "restore_trash",
  "recreate",
  /** Of a quote that was taken: a change of plan (`core/billing/plan-change.ts`), which may leave the machine as it is. */
  "resize",
  /** Staff's: to another host (`core/moves/move.ts`). */
  "migrate",
] as const;
export type ActionType = (typeof ACTION_TYPES)[number];
/** Those that are all in their request. The others are begun with a row of their own, which says how far they are. */
export type PlainAction = Exclude<ActionType, "resize" | "migrate">;
export const isPlain = (type: ActionType): type is PlainAction =>
  type !== "resize" && type !== "migrate";

/** The actions a customer may ask for with `POST /v1/vms/{id}/actions`. */
export const REQUESTABLE_ACTIONS = ["start", "shutdown", "stop", "reboot", "reset"] as const;

/** `waiting`: for money, or for a renewal. Only one that is `running` keeps others from its VM. */
export const ACTION_STATUSES = ["waiting", "running", "success", "error"] as const;
export type ActionStatus = (typeof ACTION_STATUSES)[number];

export const ACTION_ERROR_CODES = [
  "timed_out",
  "host_refused",
  "not_running",
  "payment_refunded",
  /** A delete took over from it: whatever it was at, the VM is to go. */
  "superseded",
  /** The VM was suspended while it ran, and may not do it any more. */
  "suspended",
  /** Its host says that the VM is not there any more. */
  "vm_lost",
  /** Staff called it off before its host was told of it: nobody has done anything of it. */
  "cancelled",
  /** Staff gave it up though its host was told of it: whether and how far it was done is not known. */
  "abandoned",
  /** Whoever asked for it dropped it before it was paid and begun, or took another quote. */
  "dropped",
  /** What it asked for was not paid in time, or nothing is billed for the VM any more. */
  "not_paid",
  /** There was no room for it on its host. */
  "no_room",
  /** It stayed on its host: what kept it is in its move. */
  "not_moved",
] as const;
export type ActionErrorCode = (typeof ACTION_ERROR_CODES)[number];

/** What a customer reads of each. A host's own words are for staff: they name its paths, its bridges and its neighbours. */
export const ACTION_ERROR_WORDS = {
  timed_out: "It did not end in time.",
  host_refused: "The host could not do it. Please try again, or ask support about this action.",
  not_running: "The VM was not running.",
  payment_refunded: "It could not be delivered, and the payment goes back.",
  superseded: "The VM was deleted while this ran.",
  suspended: "The VM was suspended while this ran.",
  vm_lost: "The VM is not there any more. Our staff have been told.",
  cancelled: "Our staff called it off before it was begun.",
  abandoned: "Our staff gave it up; it may have been carried out.",
  dropped: "It was dropped before it was begun. Nothing was changed.",
  not_paid: "It was not paid. All is as it was before.",
  no_room: "There was no room for it on the VM's host. All is as it was before.",
  not_moved: "It could not be moved. All is as it was before.",
} as const satisfies Record<ActionErrorCode, string>;

/** How long a power action may run before it is an error that the customer sees. */
export const ACTION_TIME_LIMIT_MS = 15 * 60_000;

/** What an action asks of the VM: a desired state, or work to be done once. */
export type ActionEffect =
  | { kind: "power"; power: DesiredPower; stopMode: StopMode }
  | { kind: "once"; action: OneShotAction }
  | { kind: "absent" }
  | { kind: "repair"; repair: Repair }
  /** Its own row says what it asks for, and when. */
  | { kind: "change" }
  | { kind: "move" };

export const EFFECT_OF_ACTION = {
  create: { kind: "power", power: "running", stopMode: "graceful" },
  start: { kind: "power", power: "running", stopMode: "graceful" },
  shutdown: { kind: "power", power: "off", stopMode: "graceful" },
  stop: { kind: "power", power: "off", stopMode: "firm" },
  reboot: { kind: "once", action: "reboot" },
  reset: { kind: "once", action: "reset" },
  delete: { kind: "absent" },
  adopt_disk: { kind: "repair", repair: "adopt_disk" },
  restore_trash: { kind: "repair", repair: "restore_trash" },
  recreate: { kind: "repair", repair: "recreate" },
  resize: { kind: "change" },
  migrate: { kind: "move" },
} as const satisfies Record<ActionType, ActionEffect>;

/**
 * Whether a delete takes over from an action that runs: whoever wants a VM gone does not wait for a guest that is silent.
 * A move goes back first, or to its end, so that nothing of the VM is left on a second host, and then the VM goes. A delete itself is
 * not taken over by another one: it is the same.
 */
export const DELETE_TAKES_OVER = {
  create: true,
  start: true,
  shutdown: true,
  stop: true,
  reboot: true,
  reset: true,
  delete: false,
  adopt_disk: true,
  restore_trash: true,
  recreate: true,
  resize: true,
  migrate: true,
} as const satisfies Record<ActionType, boolean>;

/**
 * What becomes of an action that runs when its VM is suspended. A VM that is being made is to be there first, so that nobody
 * takes the suspension for a VM that could not be made; a repair brings it back off.
 */
export const SUSPENSION_MEETS = {
  create: "waits",
  start: "ends_it",
  shutdown: "ends_it",
  stop: "ends_it",
  reboot: "ends_it",
  reset: "ends_it",
  delete: "goes_on",
  adopt_disk: "goes_on",
  restore_trash: "goes_on",
  recreate: "goes_on",
  // What is off is given its size too, and money that was paid for it is not left between the two.
  resize: "goes_on",
  // It arrives off.
  migrate: "goes_on",
} as const satisfies Record<ActionType, "waits" | "ends_it" | "goes_on">;

/** What takes a customer's data away for good. */
export const DESTROYS: ReadonlySet<ActionType> = new Set(["delete", "recreate"]);

export type Action = Readonly<{
  id: string;
  vmId: string;
  type: ActionType;
  status: ActionStatus;
  /** The VM's generation that this action asked for. */
  generation: number;
  startedAt: Date;
  finishedAt: Date | null;
  error: { code: ActionErrorCode; message: string } | null;
}>;
