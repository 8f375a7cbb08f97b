import type { Event } from "#core/contracts/events.ts";

/** What is mailed to customers. Each has a letter in each language (`letters/`), and one file that fills it. */
export const MAIL_KINDS = [
  "prove_email",
  "reset_password",
  "change_email",
  "email_change_asked",
  "email_changed",
  "new_log_in",
  "order_received",
  "trial_refused",
  "trial_ends",
  "vm_ready",
  "invoice_paid",
  "payment_failed",
  "payment_needs_confirmation",
  "payment_overdue",
  "vm_suspended",
  "vm_stopped_for_debt",
  "vm_kept_after_end",
  "vm_terminated",
  "plan_migration",
  "maintenance",
] as const;
export type MailKind = (typeof MAIL_KINDS)[number];

/**
 * What became of a mail. `dropped`: when its turn came there was nobody to tell, or nothing to tell any more. `bounced`: it was sent,
 * and came back for good. `complained_of`: it arrived, and was called spam.
 */
export const MAIL_STATES = [
  "waiting",
  "sent",
  "dropped",
  "given_up",
  "bounced",
  "complained_of",
] as const;
export type MailState = (typeof MAIL_STATES)[number];

/** Why nothing more is sent to an address: its mail came back for good, or whoever reads it called ours spam. */
export const MAIL_REFUSALS = ["bounce", "complaint"] as const;
export type MailRefusal = (typeof MAIL_REFUSALS)[number];

/** The tag by which the provider tells of a mail; its value is the mail's id. */
export const MAIL_TAG = "berth_mail";
/** What became of a mail whose address refused it. */
export const STATE_OF_REFUSED = {
  bounce: "bounced",
  complaint: "complained_of",
} as const satisfies Record<MailRefusal, MailState>;

/**
 * Links by which an address is proven go to one that refused mail before, too: whoever asks for one has an account, and says that the
 * address is theirs. Any other would let a stranger have mail sent there.
 */
const PROVES: ReadonlySet<MailKind> = new Set(["prove_email", "change_email"]);
export const provesAddress = (kind: MailKind): boolean => PROVES.has(kind);

/** Their letters hold a secret that is drawn when they are sent, and written down nowhere. */
const WITH_SECRET: ReadonlySet<MailKind> = new Set([
  "prove_email",
  "reset_password",
  "change_email",
]);
export const holdsSecret = (kind: MailKind): boolean => WITH_SECRET.has(kind);

/** A mail that falls due. `cause` and kind name it: whatever is done twice, it is due once. */
export type DueMail = Readonly<{
  kind: MailKind;
  cause: string;
  /** The id of what it tells of, ours or the provider's. */
  about: string;
  /** What cannot be looked up later. */
  values?: Readonly<Record<string, unknown>> | undefined;
  /** Left out: whose it is turns out when it is filled. */
  accountId?: string | undefined;
}>;

/** The mails of which customers are told by what is recorded anyway: they fall due in the transaction that records it. */
export function mailOfEvent({ name, data }: Event): Pick<DueMail, "kind" | "about"> | undefined {
  if (name === "order.placed.v1") return { kind: "order_received", about: data.orderId };
  if (name === "order.activated.v1") return { kind: "vm_ready", about: data.vmId };
  if (name === "vm.suspended.v1") return { kind: "vm_suspended", about: data.vmId };
  if (name === "vm.deleted.v1") return { kind: "vm_terminated", about: data.vmId };
  return undefined;
}

/** The provider's deliveries that customers are told of; what they say is looked up when the mail is filled. */
export function mailOfDelivery(type: string): MailKind | undefined {
  switch (type) {
    case "invoice.payment_failed":
      return "payment_failed";
    case "invoice.payment_action_required":
      return "payment_needs_confirmation";
    default:
      return undefined;
  }
}

const MINUTE_MS = 60_000;
/** Longer than a mail takes to be handed over; after it another worker may take it. */
export const MAIL_LEASE_MS = 2 * MINUTE_MS;
const LONGEST_WAIT_MS = 6 * 60 * MINUTE_MS;
/**
 * Whoever has not taken a mail for so long, and so often, will not: staff are told. Both, since while nobody swept it was not tried;
 * as often takes two days.
 */
const GIVEN_UP_AFTER_MS = 3 * 24 * 60 * MINUTE_MS;
const LEAST_TRIES = 15;

/** When a mail that was not taken is tried again, `tries` being how often it was; null: never. */
export function nextTryAt(
  { createdAt, tries }: Readonly<{ createdAt: Date; tries: number }>,
  now: Date,
): Date | null {
  if (+now - +createdAt >= GIVEN_UP_AFTER_MS && tries >= LEAST_TRIES) return null;
  return new Date(+now + Math.min(MINUTE_MS * 2 ** Math.min(tries - 1, 20), LONGEST_WAIT_MS));
}
