import { ADDRESS_MAIL } from "#commands/accounts/fill-address-mail.ts";
import { LINK_MAIL } from "#commands/accounts/fill-link-mail.ts";
import { LOG_IN_MAIL } from "#commands/accounts/fill-log-in-mail.ts";
import { MIGRATION_MAIL } from "#commands/billing/announce-migration.ts";
import { ENDED_MAIL, OVERDUE_MAIL, STOPPED_MAIL } from "#commands/billing/fill-dunning-mails.ts";
import { CONFIRM_MAIL, FAILED_MAIL, PAID_MAIL } from "#commands/billing/fill-invoice-mails.ts";
import { NOTICE_MAIL } from "#commands/hosts/tell-of-maintenance.ts";
import type { Fillers } from "#commands/messages/send-mail.ts";
import { ORDER_MAIL } from "#commands/orders/fill-order-mail.ts";
import { TRIAL_ENDS_MAIL, TRIAL_REFUSED_MAIL } from "#commands/orders/fill-trial-mails.ts";
import { READY_MAIL, SUSPENDED_MAIL, TERMINATED_MAIL } from "#commands/vms/fill-vm-mails.ts";

/** How each kind of mail is filled: by the area that knows what it tells. */
export const FILLERS: Fillers = {
  prove_email: LINK_MAIL,
  reset_password: LINK_MAIL,
  change_email: LINK_MAIL,
  email_change_asked: ADDRESS_MAIL,
  email_changed: ADDRESS_MAIL,
  new_log_in: LOG_IN_MAIL,
  order_received: ORDER_MAIL,
  trial_refused: TRIAL_REFUSED_MAIL,
  trial_ends: TRIAL_ENDS_MAIL,
  vm_ready: READY_MAIL,
  invoice_paid: PAID_MAIL,
  payment_failed: FAILED_MAIL,
  payment_needs_confirmation: CONFIRM_MAIL,
  payment_overdue: OVERDUE_MAIL,
  vm_suspended: SUSPENDED_MAIL,
  vm_stopped_for_debt: STOPPED_MAIL,
  vm_kept_after_end: ENDED_MAIL,
  vm_terminated: TERMINATED_MAIL,
  plan_migration: MIGRATION_MAIL,
  maintenance: NOTICE_MAIL,
};
