import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { OsFamily } from "./vm.ts";

/**
 * The administrator's first password of a VM whose guest cannot be given SSH keys, or whose order asked for one. It exists until its customer has
 * taken it, once, or until it has lain for a week; only the first two states hold it.
 */
export const INITIAL_PASSWORD_STATES = [
  /** Made when the host that makes the VM first asked for it, which it may again: a creation may be cut short. */
  "for_host",
  /** The VM stands, so that its host needs it no longer; its customer may take it. */
  "for_customer",
  "taken",
  "expired",
  "withdrawn",
] as const;
export type InitialPasswordState = (typeof INITIAL_PASSWORD_STATES)[number];

export const INITIAL_PASSWORD_COMMANDS = ["offer", "take", "expire", "withdraw", "renew"] as const;
export type InitialPasswordCommand = (typeof INITIAL_PASSWORD_COMMANDS)[number];

/** Every legal move. `withdraw`: the VM is to be no more, or is not made anew after all. `renew`: it is made anew. */
export const INITIAL_PASSWORD_MOVES = {
  for_host: { offer: "for_customer", expire: "expired", withdraw: "withdrawn" },
  for_customer: { take: "taken", expire: "expired", withdraw: "withdrawn" },
  taken: { renew: "for_host" },
  expired: { renew: "for_host" },
  withdrawn: { renew: "for_host" },
} as const satisfies Record<
  InitialPasswordState,
  Partial<Record<InitialPasswordCommand, InitialPasswordState>>
>;

export function nextInitialPasswordState(
  from: InitialPasswordState,
  command: InitialPasswordCommand,
): InitialPasswordState | undefined {
  const moves: Partial<Record<InitialPasswordCommand, InitialPasswordState>> =
    INITIAL_PASSWORD_MOVES[from];
  return moves[command];
}

/** How long it waits for its host, and then for its customer. An order that is not served is refunded long before. */
export const INITIAL_PASSWORD_LIFE_MS = 7 * 24 * 60 * 60_000;

/** Windows always, since its guest cannot be given SSH keys; another where its order asked for one. */
export const needsInitialPassword = (vm: { os: OsFamily; rootPassword: boolean }): boolean =>
  vm.os === "windows" || vm.rootPassword;

/** Who signs in with it. */
export const initialUserOf = (os: OsFamily): string =>
  os === "windows" ? "Administrator" : "root";

/** How much of the password nobody can guess. */
export const INITIAL_PASSWORD_BYTES = 16;
/**
 * Of a random URL-safe text. The start satisfies Windows' complexity rule (three of: capital, small letter, digit,
 * sign) whatever the rest happens to be; an answer file and every keyboard can hold all of it.
 */
export const toInitialPassword = (secret: string): string => `Vm1-${secret}`;

export type InitialPassword = Readonly<{
  vmId: string;
  state: InitialPasswordState;
  /** Sealed; null once it is gone for good. */
  sealed: string | null;
  expiresAt: Date;
}>;

export type TakePasswordCode =
  | "no_initial_password"
  | "password_not_ready"
  | "password_already_taken"
  | "password_expired";

/**
 * Whether the customer gets it now: what is sealed, to be opened and erased in the same transaction. `seen`: its host
 * has shown the VM whole.
 */
export function decideTakePassword(
  vm: { os: OsFamily; rootPassword: boolean; seen: boolean },
  password: InitialPassword | undefined,
  now: Date,
): Result<{ sealed: string }, Refusal<TakePasswordCode>> {
  const none = () => refuse("no_initial_password", "this VM has no initial password");
  const notReady = () =>
    refuse("password_not_ready", "the VM is still being made: ask again when it runs");
  if (password === undefined) return needsInitialPassword(vm) && !vm.seen ? notReady() : none();
  if (password.state === "withdrawn") return none();
  if (password.state === "taken")
    return refuse("password_already_taken", "the initial password was shown once, and is erased");
  if (password.state === "for_host" && now < password.expiresAt) return notReady();
  // Past its time it is refused, whether or not the sweep has erased it yet.
  if (
    password.sealed === null ||
    nextInitialPasswordState(password.state, "take") === undefined ||
    now >= password.expiresAt
  )
    return refuse("password_expired", "nobody took the initial password in time, and it is erased");
  return ok({ sealed: password.sealed });
}
