import { toMoneyView } from "#core/money.ts";
import { dueMoney } from "#core/orders/order-price.ts";
import { loadPlan } from "#db/catalogue/catalogue.ts";
import { trialPolicyOf } from "#db/catalogue/trial-policies.ts";
import { recipientOf } from "#db/messages/mails.ts";
import { loadOrder } from "#db/orders/orders.ts";
import type { Filler } from "#commands/messages/send-mail.ts";

const PAID: ReadonlySet<string> = new Set(["paid", "active", "completed"]);

/** An order was taken. Whoever has left it by now, or has their money back, is told nothing of it. */
export const ORDER_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const order = await loadOrder(deps.db, about);
    const isPaid = order !== undefined && PAID.has(order.state);
    if (order === undefined || (!isPaid && order.state !== "awaiting_payment"))
      return { drop: "order_is_over" };
    const recipient = await recipientOf(deps.db, order.accountId);
    if (!recipient?.isCustomer) return { drop: "nobody_to_mail" };
    const { accountId, hostname, expiresAt } = order;
    const plan = await loadPlan(deps.db, order);
    const { trialPolicy } = order;
    const trial = trialPolicy === null ? null : await trialPolicyOf(deps.db, trialPolicy);
    const { listMinor: minor, currency } = order;
    const values = {
      hostname,
      plan: plan.name,
      total: toMoneyView(trial === null ? dueMoney(order) : { minor, currency }),
      trialDays: trial?.days ?? null,
      payable: isPaid ? null : { url: order.checkoutUrl, until: expiresAt.toISOString() },
    };
    const { to, locale } = recipient;
    return { accountId, to, locale, letter: { kind: "order_received", values } };
  },
};
