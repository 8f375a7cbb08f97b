import { toMoneyView } from "#core/money.ts";
import { loadPlan } from "#db/catalogue/catalogue.ts";
import { trialPolicyOf } from "#db/catalogue/trial-policies.ts";
import { loadService } from "#db/billing/services.ts";
import { recipientOf } from "#db/messages/mails.ts";
import { loadOrder } from "#db/orders/orders.ts";
import { openTrialOf } from "#db/orders/trials.ts";
import { TRIAL_REFUSALS } from "#core/orders/trial.ts";
import type { Filler } from "#commands/messages/send-mail.ts";

/** A trial ends soon. Whoever has ended it, or has paid already, is told nothing of it; nor is anybody once it is over. */
export const TRIAL_ENDS_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const trial = await openTrialOf(deps.db, about);
    if (trial === undefined || trial.endsAt <= deps.clock.now()) return { drop: "trial_is_over" };
    const { price, endWanted } = await loadService(deps.db, trial.vmId);
    if (price === null || endWanted) return { drop: "it_ends_by_its_owners_word" };
    const order = await loadOrder(deps.db, about);
    const recipient = await recipientOf(deps.db, trial.accountId);
    if (order === undefined || !recipient?.isCustomer) return { drop: "nobody_to_mail" };
    const { endsIn } = await trialPolicyOf(deps.db, trial.policyVersion);
    const values = {
      hostname: order.hostname,
      endsAt: trial.endsAt.toISOString(),
      price: toMoneyView(price.amount),
      interval: price.interval,
      endsIn,
    };
    const { to, locale } = recipient;
    const letter = { kind: "trial_ends", values } as const;
    return { accountId: trial.accountId, to, locale, letter };
  },
};

/** What was wanted is not to be had on trial: why, and how it is had all the same. */
export const TRIAL_REFUSED_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const order = await loadOrder(deps.db, about);
    const why = TRIAL_REFUSALS.find((code) => code === order?.declineCode);
    if (order === undefined || why === undefined) return { drop: "order_is_over" };
    const recipient = await recipientOf(deps.db, order.accountId);
    if (!recipient?.isCustomer) return { drop: "nobody_to_mail" };
    const plan = await loadPlan(deps.db, order);
    const values = {
      hostname: order.hostname,
      plan: plan.name,
      price: toMoneyView({ minor: order.listMinor, currency: order.currency }),
      interval: order.billingInterval,
      why,
    };
    const { to, locale } = recipient;
    return { accountId: order.accountId, to, locale, letter: { kind: "trial_refused", values } };
  },
};
