import { cardOf } from "./cards.ts";
import { recordFailure, settle } from "./collection.ts";
import { customerOf, intentIdOf, paymentOf } from "./invoices.ts";
import { NO_SUCH_CARD, type PageOutcome } from "./page-outcome.ts";
import { attach, createPaymentMethod } from "./payment-methods.ts";
import { askForAuthentication, charge, failAuthentication } from "./payments.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";

/*
 * Paying an open invoice on its page, by the person it is for: with another card, or by answering the bank's question about the
 * one that was charged (https://docs.stripe.com/invoicing/hosted-invoice-page).
 */

export function payInvoiceWithCard(sandbox: Sandbox, id: string, typed: string): PageOutcome {
  const card = cardOf(typed);
  if (card === undefined) return NO_SUCH_CARD;
  const { customer_email: email } = sandbox.find("invoice", id);
  const method = createPaymentMethod(sandbox, card, { email });
  if (!card.authenticates) return payWith(sandbox, id, method.id);
  askForAuthentication(sandbox, intentOf(sandbox, id), method.id);
  return { step: "authenticate" };
}

export function answerForInvoice(sandbox: Sandbox, id: string, succeeded: boolean): PageOutcome {
  const intent = sandbox.find("payment_intent", intentOf(sandbox, id));
  const method = idOrNull(intent.payment_method);
  if (intent.status !== "requires_action" || method === null)
    return {
      step: "refused",
      status: 400,
      code: "payment_intent_unexpected_state",
      message: "No payment is waiting for authentication. Enter a card first.",
    };
  if (succeeded) return payWith(sandbox, id, method);
  const failure = failAuthentication(sandbox, intent.id, method);
  recordFailure(sandbox, id);
  return { step: "refused", status: 402, ...failure };
}

/** Whether the bank waits for the person's answer. */
export function asksForAction(sandbox: Sandbox, id: string): boolean {
  const payment = paymentOf(sandbox, id);
  return (
    payment !== undefined &&
    sandbox.find("payment_intent", intentIdOf(payment)).status === "requires_action"
  );
}

function payWith(sandbox: Sandbox, id: string, method: string): PageOutcome {
  const outcome = charge(sandbox, intentOf(sandbox, id), method, false);
  if (!outcome.ok) {
    recordFailure(sandbox, id);
    const { code, message } = outcome.decline;
    return { step: "refused", status: 402, code, message };
  }
  const { customer } = sandbox.find("payment_method", method);
  if (customer === null) attach(sandbox, method, idOf(customerOf(sandbox.find("invoice", id))));
  settle(sandbox, id);
  return { step: "done", redirectTo: `${sandbox.settings.publicUrl}/i/${id}` };
}

function intentOf(sandbox: Sandbox, id: string): string {
  const payment = paymentOf(sandbox, id);
  if (payment === undefined) throw new Error(`open invoice ${id} has no payment`);
  return intentIdOf(payment);
}
