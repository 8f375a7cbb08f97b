import { HOST_FINDINGS } from "#core/contracts/agent/report.ts";

/*
 * What is amiss and lasts: a state that staff must hear of, opened once and ended once. What only happens (a report that came
 * late, facts that jumped) is a line in the log and no finding.
 */

const HOUR_MS = 60 * 60_000;

/**
 * What the control plane finds out by itself, and what of an agent's words it can see the end of. null: a report shows that it
 * is over. Milliseconds: its host was heard of for so long without a word of it, as what one report leaves out is no evidence.
 */
export const ENDS_AFTER_SILENCE_MS = {
  /** Its host says that a VM which it had, whole, is not there any more. */
  vm_lost: null,
  /** A VM that was proved to be gone is shown again. */
  vm_seen_after_delete: HOUR_MS,
  /** A VM with our tag that the host should not have. */
  stranger: HOUR_MS,
  /** A VM with our tag that a restored database does not know: it was made in the hours that are lost. */
  vm_unknown_after_restore: HOUR_MS,
  /** The host's clock is off by more than it may be. */
  clock_off: null,
  /** An image is another file under its name: the disks that lie on it may be broken. */
  image_changed: null,
  /** An image that its host should hold could not be fetched; it goes on trying, and tells of it each time. */
  image_fetch_failed: HOUR_MS,
  /** The host's agent would not apply its desired document. */
  desired_refused: HOUR_MS,
  /** It was not heard of for five minutes. */
  host_silent: null,
  /** Its maintenance was to have ended by the time that was announced. */
  maintenance_overran: null,
  /** Its agent speaks, and does not reach the hypervisor. */
  hypervisor_away: null,
  /** What is to be done for a VM fails again and again, for a quarter of an hour. */
  step_failing: HOUR_MS,
  /** Staff's mark for tests and the agent's leave to emulate say different things. */
  emulation_disagrees: null,
  /** Its agent is older than we promise to understand (`agentAge`). */
  agent_old: null,
  /** It was told to upgrade its agent, and could not or did not: its agent's own word, or ours when its time was over. */
  upgrade_failed: 7 * 24 * HOUR_MS,
  /** A quote for a VM came to other figures than the payment provider's: nobody was offered it. */
  figures_differ: 7 * 24 * HOUR_MS,
  /** A change of a VM's plan is neither done nor taken back an hour after its last deadline: somebody pays for what he has not, or has
   * what he does not pay for (invariants 21 and 22). */
  plan_change_hangs: null,
  /** A plan migration runs, VMs of it are at work or due, and nothing of it has moved for hours. At the host of the first of them. */
  plan_migration_hangs: null,
  /** A move of a VM waits for a host's word for a quarter of an hour, and there is no way but to wait. At the host that it waits for. */
  move_hangs: null,
  /** A VM is to have another size, or other limits, than the version of its plan that was bought, and no change of it is open. */
  size_not_bought: null,
  /** What a VM's subscription bills at the provider is not what was bought of it: somebody changed it there by hand. */
  billed_otherwise: null,
  /** A VM's period is over, and a day later nothing was sent that could be paid: its invoice hangs at the provider. */
  invoice_hangs: null,
  /** The provider ended a VM's subscription as it was not paid: ending it is our policy's, and what the account's settings there say is another. */
  ended_by_provider: null,
  /** What is paid for a VM is no price of the version of its plan that was bought, and no change of it is open. */
  price_not_bought: null,
  /** An agent's own word (`HOST_FINDINGS`), which is over when the VM is seen whole. */
  disk_layer_missing: null,
} as const satisfies Record<string, number | null>;
/** Those of them that agents tell of, by the very word. */
export const AGENTS_OWN_KINDS: ReadonlySet<string> = new Set<FindingKind>([
  "disk_layer_missing",
  "upgrade_failed",
]);
export type FindingKind = keyof typeof ENDS_AFTER_SILENCE_MS;

/** The kinds by their names: ours, and those that agents of today tell of. All others are told as `other`. */
export const TOLD_FINDINGS: readonly string[] = [
  ...new Set([...Object.keys(ENDS_AFTER_SILENCE_MS), ...HOST_FINDINGS]),
  "other",
];

/** Told whatever else is open: each VM that is there is lost once at most, and a host has one hypervisor. */
const ALWAYS_TOLD: ReadonlySet<string> = new Set<FindingKind>(["vm_lost", "hypervisor_away"]);

/** All else that agents tell of is told once and never taken back: it stays before staff's eyes for so long. */
export const TOLD_ONCE_KEPT_MS = 7 * 24 * HOUR_MS;

/** A host has at most so many open ones besides those that are always told: what it makes up fills no table. */
export const MOST_OPEN_FINDINGS = 200;

/** `subject` is the VM's id, the host's, or a file's name. Of each host, at most one finding is open of each key. */
export type FindingKey = Readonly<{ kind: string; subject: string }>;
export type Found = FindingKey & Readonly<{ vmId: string | null; detail: string }>;

/** What a report tells, by what is open of its host: what begins, what goes on, and what is over. */
export function compareFindings<O extends FindingKey>(
  open: readonly O[],
  told: readonly Found[],
  over: readonly FindingKey[],
): { begun: readonly Found[]; goOn: readonly { open: O; detail: string }[]; ended: readonly O[] } {
  const now = new Map(told.map((found) => [textOf(found), found])); // the last word on what is told of twice counts
  const gone = new Set(over.map(textOf));
  const known = new Set(open.map(textOf));
  const begun = [...now].filter(([key]) => !known.has(key)).map(([, found]) => found);
  const always = begun.filter((found) => ALWAYS_TOLD.has(found.kind));
  const rest = begun.filter((found) => !ALWAYS_TOLD.has(found.kind));
  return {
    begun: [...always, ...rest.slice(0, Math.max(0, MOST_OPEN_FINDINGS - open.length))],
    goOn: open.flatMap((o) => {
      const found = now.get(textOf(o));
      return found ? [{ open: o, detail: found.detail }] : [];
    }),
    ended: open.filter((o) => gone.has(textOf(o)) && !now.has(textOf(o))),
  };
}

const textOf = ({ kind, subject }: FindingKey): string => JSON.stringify([kind, subject]);
