import type { Context, ScheduledEvent } from "aws-lambda";
import { forgetSpentAgentTokens } from "#commands/hosts/forget-agent-tokens.ts";
import { followRollouts } from "#commands/fleet/follow-rollouts.ts";
import { noteOldAgents } from "#commands/fleet/note-old-agents.ts";
import { followMaintenance } from "#commands/hosts/follow-maintenance.ts";
import { endSilentFindings, tellSilentHosts } from "#commands/hosts/note-findings.ts";
import { forgetOldLinks } from "#commands/accounts/send-link.ts";
import { retryCancellations } from "#commands/billing/cancel-subscription.ts";
import { dun } from "#commands/billing/dun.ts";
import { checkBought } from "#commands/billing/check-bought.ts";
import { endServices, retryEnds } from "#commands/billing/end-with-period.ts";
import { freezeBilling } from "#commands/billing/freeze-billing.ts";
import { followPlanChanges } from "#commands/billing/follow-plan-change.ts";
import { followDrains } from "#commands/moves/follow-drain.ts";
import { followMoves } from "#commands/moves/follow-move.ts";
import { tellHangingMoves } from "#commands/moves/tell-hanging-moves.ts";
import { followPlanMigrations } from "#commands/billing/follow-plan-migration.ts";
import { forgetUnbegunMigrations } from "#commands/billing/forget-unbegun-migrations.ts";
import { retryAddresses } from "#commands/billing/tell-address.ts";
import { tellHangingInvoices } from "#commands/billing/tell-hanging-invoices.ts";
import { tellHangingMigrations } from "#commands/billing/tell-hanging-migrations.ts";
import { retryGiveBacks } from "#commands/billing/make-give-back.ts";
import { retryCrossed } from "#commands/billing/return-crossed.ts";
import { settleLosses } from "#commands/billing/settle-losses.ts";
import { tellHangingChanges } from "#commands/billing/tell-hanging-changes.ts";
import { checkHealth } from "#commands/check-health.ts";
import type { Deps } from "#commands/deps.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { createMeasure } from "#commands/measure.ts";
import { expireInitialPasswords } from "#commands/vms/expire-initial-passwords.ts";
import { expireOrders } from "#commands/orders/expire-orders.ts";
import { purgeExpiredOrders } from "#commands/orders/purge-orders.ts";
import { purgeOldRows } from "#commands/purge-old-rows.ts";
import { fetchEventsAgain } from "#commands/messages/fetch-events-again.ts";
import { fetchMissedEvents } from "#commands/messages/fetch-missed-events.ts";
import { followTrials } from "#commands/orders/follow-trials.ts";
import { retryRefunds } from "#commands/orders/refund-order.ts";
import { relayOutbox } from "#commands/messages/relay-outbox.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
import { retryInbox } from "#commands/messages/retry-inbox.ts";
import { keepUsageDays } from "#commands/usage/keep-usage-days.ts";
import { lambda } from "#commands/runtime.ts";
import { unitOfWork } from "#commands/unit-of-work.ts";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";

/**
 * What runs every minute, and catches what a crash or a lost message left. Each may run twice, or beside itself. Those
 * that ask the payment provider come last: one that hangs costs them their time, and nobody else's. What they decide
 * goes out with the next sweep.
 */
export const SWEEPS = {
  retry_inbox: async (deps: Deps) => ({ rung: await retryInbox(deps) }),
  watch_provisioning: watchProvisioning,
  expire_initial_passwords: expireInitialPasswords,
  forget_old_links: forgetOldLinks,
  forget_spent_agent_tokens: forgetSpentAgentTokens,
  follow_maintenance: followMaintenance,
  tell_silent_hosts: tellSilentHosts,
  end_silent_findings: endSilentFindings,
  follow_moves: followMoves,
  follow_drains: followDrains,
  tell_hanging_moves: tellHangingMoves,
  tell_hanging_changes: tellHangingChanges,
  tell_hanging_migrations: tellHangingMigrations,
  tell_hanging_invoices: tellHangingInvoices,
  follow_trials: followTrials,
  check_bought: checkBought,
  follow_rollouts: followRollouts,
  note_old_agents: noteOldAgents,
  relay_outbox: relayOutbox,
  send_mails: (deps: Deps) => sendDueMails(deps, FILLERS),
  check_health: checkHealth,
  keep_usage_days: keepUsageDays,
  purge_expired_orders: purgeExpiredOrders,
  purge_old_rows: purgeOldRows,
  forget_unbegun_migrations: forgetUnbegunMigrations,
  fetch_missed_events: fetchMissedEvents,
  fetch_events_again: fetchEventsAgain,
  expire_orders: expireOrders,
  retry_refunds: retryRefunds,
  retry_cancellations: retryCancellations,
  retry_ends: retryEnds,
  end_services: endServices,
  dun,
  freeze_billing: freezeBilling,
  settle_losses: settleLosses,
  return_crossed: retryCrossed,
  make_give_backs: retryGiveBacks,
  tell_addresses: retryAddresses,
  follow_plan_changes: followPlanChanges,
  follow_plan_migrations: followPlanMigrations,
} as const satisfies Record<string, (deps: Deps) => Promise<object>>;

/** Runs every sweep. One that fails does not keep the others from running; then the whole is reported as failed. */
export const createSweep = (deps: Deps) => async (): Promise<void> => {
  const failed: unknown[] = [];
  for (const [name, run] of Object.entries(SWEEPS)) {
    try {
      await unitOfWork(deps, `sweep.${name}`, {}, async (add) => {
        add({ ...(await run(deps)) });
      });
    } catch (error) {
      failed.push(error);
    }
  }
  if (failed.length > 0) throw new AggregateError(failed, `${failed.length} sweeps failed`);
};

const SWEEP_EVERY_MS = 60_000;

/** On AWS nobody comes to ask for metrics: what is swept is measured first, whatever becomes of the sweeps. */
export const handler = lambda<ScheduledEvent, Context, void>((deps) => {
  const sweep = createSweep(deps);
  const measure = createMeasure(deps, SWEEP_EVERY_MS);
  return async () => {
    await unitOfWork(deps, "sweep.measure", {}, measure).catch(() => undefined);
    await sweep();
  };
});
