import { assertNever } from "#core/result.ts";
import type { Event } from "#core/contracts/events.ts";
import { cancelSubscription } from "#commands/billing/cancel-subscription.ts";
import { tellEnd } from "#commands/billing/end-with-period.ts";
import { followPlanChange } from "#commands/billing/follow-plan-change.ts";
import { followPlanMigration } from "#commands/billing/follow-plan-migration.ts";
import { makeGiveBack } from "#commands/billing/make-give-back.ts";
import { returnCrossed } from "#commands/billing/return-crossed.ts";
import { tellAddress } from "#commands/billing/tell-address.ts";
import { followDrain } from "#commands/moves/follow-drain.ts";
import { sendLink } from "#commands/accounts/send-link.ts";
import type { Deps } from "./deps.ts";
import { sendNotice } from "#commands/hosts/tell-of-maintenance.ts";
import { judgeOrder } from "#commands/orders/watch-provisioning.ts";
import { refundOrder } from "#commands/orders/refund-order.ts";

/**
 * Does the work that an event of the outbox asks for outside its transaction. Each may be repeated. Throws when
 * the provider cannot be reached: the message comes again.
 */
export async function handleEvent(deps: Deps, event: Event): Promise<string> {
  switch (event.name) {
    case "order.refund_fell_due.v1":
      return refundOrder(deps, event.data.orderId);
    case "subscription.cancellation_fell_due.v1":
      return cancelSubscription(deps, event.data.subscriptionId);
    case "service.end_said.v1":
      return tellEnd(deps, event.data.vmId);
    case "payment.crossed.v1":
      return returnCrossed(deps, event.data.invoiceId);
    case "give_back.fell_due.v1":
      return makeGiveBack(deps, event.data.giveBackId);
    case "plan_change.fell_due.v1":
      return followPlanChange(deps, event.data.planChangeId);
    case "plan_migration.fell_due.v1":
      return followPlanMigration(deps, event.data.planMigrationId);
    case "drain.fell_due.v1":
      return followDrain(deps, event.data.drainId);
    case "vm.create_refused.v1":
      return judgeOrder(deps, event.data.orderId);
    case "account.link_asked_for.v1":
      return sendLink(deps, event.data.linkId);
    case "account.email_changed.v1":
      return tellAddress(deps, event.data.accountId);
    case "maintenance.notice_fell_due.v1":
      return sendNotice(deps, event.data.noticeId);
    case "account.email_proven.v1":
    case "order.placed.v1":
    case "order.paid.v1":
    case "order.expired.v1":
    case "order.activated.v1":
    case "order.completed.v1":
    case "order.refunded.v1":
    case "order.refund_failed.v1":
    case "entitlement.changed.v1":
    case "dunning.changed.v1":
    case "billing.frozen.v1":
    case "billing.resumed.v1":
    case "give_back.made.v1":
    case "card.changed.v1":
    case "plan_change.began.v1":
    case "plan_change.committed.v1":
    case "plan_change.reverted.v1":
    case "plan_migration.began.v1":
    case "plan_migration.changed.v1":
    case "plan_migration.vm_ended.v1":
    case "move.began.v1":
    case "move.released.v1":
    case "move.turned_back.v1":
    case "move.ended.v1":
    case "drain.began.v1":
    case "drain.ended.v1":
    case "vm.change_requested.v1":
    case "vm.deleted.v1":
    case "vm.relabelled.v1":
    case "vm.protection_changed.v1":
    case "vm.suspended.v1":
    case "vm.unsuspended.v1":
    case "vm.destroy_request_changed.v1":
    case "service.end_told.v1":
    case "account.closed.v1":
    case "account.reopened.v1":
    case "account.impersonation_began.v1":
    case "account.impersonation_ended.v1":
    case "vm.initial_password_taken.v1":
    case "vm.initial_password_expired.v1":
    case "action.finished.v1":
    case "finding.opened.v1":
    case "finding.ended.v1":
    case "host.state_changed.v1":
    case "maintenance.changed.v1":
    case "agent_release.registered.v1":
    case "agent_rollout.began.v1":
    case "agent_rollout.changed.v1":
    case "host.upgrade_asked_for.v1":
    case "host.upgrade_ended.v1":
      return "nothing_to_do";
    default:
      return assertNever(event);
  }
}
