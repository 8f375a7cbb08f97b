import { z } from "zod";
import { RESIZE_METHODS } from "#core/billing/quote.ts";
import { SUSPENSION_REASONS } from "#core/billing/suspension.ts";
import { NOTICE_KINDS, WINDOW_KINDS } from "#core/hosts/maintenance.ts";
import { TRIAL_ENDS } from "#core/catalogue/trial-policy.ts";
import { BILLING_INTERVALS } from "#core/orders/order.ts";
import { TRIAL_REFUSALS } from "#core/orders/trial.ts";
import { CURRENCIES } from "#core/currencies.ts";
import type { Formats, Letter } from "./letter.ts";
import type { MailKind } from "./mail.ts";

const at = z.iso.datetime();
const money = z.object({ minor: z.string().regex(/^-?\d+$/), currency: z.enum(CURRENCIES) });
/** A change of address is told to the one of before, which may be the account's no more when the mail is sent. */
const ADDRESSES = { to: z.string(), newAddress: z.string() };
const size = z.object({ vcpus: z.number(), memoryMib: z.number(), diskGib: z.number() });

/** What fills each letter. As it is stored, so that a mail can be shown, and sent again, as it was: ids and facts, no secret. */
const MAIL_VALUES = {
  prove_email: z.object({}),
  reset_password: z.object({}),
  change_email: z.object({}),
  email_change_asked: z.object({ at, ...ADDRESSES }),
  email_changed: z.object({ at, ...ADDRESSES }),
  new_log_in: z.object({ at, address: z.string(), agent: z.string().nullable() }),
  order_received: z.object({
    hostname: z.string(),
    plan: z.string(),
    total: money,
    /** For so long nothing is paid; null: it begins without a trial. */
    trialDays: z.number().nullable().default(null),
    /** Where and until when it can be paid; null: it is paid. */
    payable: z.object({ url: z.string().nullable(), until: at }).nullable(),
  }),
  trial_refused: z.object({
    hostname: z.string(),
    plan: z.string(),
    price: money,
    interval: z.enum(BILLING_INTERVALS),
    why: z.enum(TRIAL_REFUSALS),
  }),
  trial_ends: z.object({
    hostname: z.string(),
    endsAt: at,
    price: money,
    interval: z.enum(BILLING_INTERVALS),
    endsIn: z.enum(TRIAL_ENDS),
  }),
  vm_ready: z.object({
    hostname: z.string(),
    addresses: z.array(z.string()),
    user: z.string(),
    /** How its user comes in. */
    by: z.enum(["ssh_key", "ssh_password", "remote_desktop"]),
    /** As its owner names it in the API. */
    vm: z.string(),
  }),
  invoice_paid: z.object({
    number: z.string().nullable(),
    amount: money,
    /** null: it is for no server. */
    hostname: z.string().nullable(),
    url: z.string().nullable(),
  }),
  payment_failed: z.object({
    number: z.string().nullable(),
    due: money,
    hostname: z.string(),
    url: z.string().nullable(),
    stopsAt: at,
  }),
  payment_needs_confirmation: z.object({
    due: money,
    hostname: z.string(),
    url: z.string().nullable(),
  }),
  payment_overdue: z.object({
    due: money,
    hostname: z.string(),
    url: z.string().nullable(),
    stopsAt: at,
  }),
  vm_suspended: z.object({
    hostname: z.string(),
    reasons: z.array(z.enum(SUSPENSION_REASONS)).min(1),
  }),
  vm_stopped_for_debt: z.object({
    hostname: z.string(),
    /** null: nothing that was sent is open. */
    due: money.nullable(),
    url: z.string().nullable(),
    endsAt: at,
  }),
  vm_kept_after_end: z.object({ hostname: z.string(), keptUntil: at, vm: z.string() }),
  vm_terminated: z.object({ hostname: z.string(), deletedAt: at }),
  plan_migration: z.object({
    plan: z.string(),
    notBefore: at,
    atRenewal: z.boolean(),
    vms: z.array(
      z.object({
        vmId: z.uuid(),
        hostname: z.string(),
        from: size,
        to: size,
        method: z.enum(RESIZE_METHODS),
        downSeconds: z.number(),
        /** null: its price stays, or is not ours. */
        difference: money.nullable(),
      }),
    ),
  }),
  maintenance: z.object({
    window: z.enum(WINDOW_KINDS),
    notice: z.enum(NOTICE_KINDS),
    startsAt: at,
    endsAt: at,
    hostnames: z.array(z.string()),
    /** So many are not named. */
    more: z.number(),
  }),
} as const satisfies Record<MailKind, z.ZodType>;
export type MailValues = { [K in MailKind]: z.infer<(typeof MAIL_VALUES)[K]> };

const of = <K extends MailKind, V extends z.ZodType>(kind: K, values: V) =>
  z.object({ kind: z.literal(kind), values });
const FilledLetter = z.discriminatedUnion("kind", [
  of("prove_email", MAIL_VALUES.prove_email),
  of("reset_password", MAIL_VALUES.reset_password),
  of("change_email", MAIL_VALUES.change_email),
  of("email_change_asked", MAIL_VALUES.email_change_asked),
  of("email_changed", MAIL_VALUES.email_changed),
  of("new_log_in", MAIL_VALUES.new_log_in),
  of("order_received", MAIL_VALUES.order_received),
  of("vm_ready", MAIL_VALUES.vm_ready),
  of("invoice_paid", MAIL_VALUES.invoice_paid),
  of("payment_failed", MAIL_VALUES.payment_failed),
  of("payment_needs_confirmation", MAIL_VALUES.payment_needs_confirmation),
  of("payment_overdue", MAIL_VALUES.payment_overdue),
  of("trial_refused", MAIL_VALUES.trial_refused),
  of("trial_ends", MAIL_VALUES.trial_ends),
  of("vm_suspended", MAIL_VALUES.vm_suspended),
  of("vm_stopped_for_debt", MAIL_VALUES.vm_stopped_for_debt),
  of("vm_kept_after_end", MAIL_VALUES.vm_kept_after_end),
  of("vm_terminated", MAIL_VALUES.vm_terminated),
  of("plan_migration", MAIL_VALUES.plan_migration),
  of("maintenance", MAIL_VALUES.maintenance),
]);
/** A mail's kind with the values of that kind. */
export type FilledLetter = z.infer<typeof FilledLetter>;

/** The address that a letter is for, whatever the account's is; undefined: it goes to the account's. */
export const addressOf = (letter: FilledLetter): string | undefined =>
  letter.kind === "email_change_asked" || letter.kind === "email_changed"
    ? letter.values.to
    : undefined;

/** How a language writes, and the link of a letter that has one. */
export type Writing = Readonly<{ formats: Formats; link: string }>;
/** The letters of a language. */
export type Letters = {
  readonly [K in MailKind]: (values: MailValues[K], writing: Writing) => Letter;
};

/** Reads stored values by their kind's schema; throws when they do not fit. */
export const parseLetter = (kind: MailKind, values: unknown): FilledLetter =>
  FilledLetter.parse({ kind, values });
