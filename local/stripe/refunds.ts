import type { Stripe } from "stripe";
import { refuseOffStep } from "./amounts.ts";
import { invalidRequest, noSuchReference } from "./api-error.ts";
import { listOperation, operation } from "./operation.ts";
import { changedMetadata, choice, int, listParamsOf, metadata, paramsOf, text } from "./params.ts";
import { testCardOf } from "./payment-methods.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";

/** How long after it seemed to succeed a refund to the card ending in 5126 fails. Stripe says "some time later". */
const SECONDS_TO_FAILURE = 60;

function createRefund(
  sandbox: Sandbox,
  given: {
    charge?: string | undefined;
    payment_intent?: string | undefined;
    amount?: number | undefined;
    reason?: Stripe.Refund.Reason | undefined;
    metadata?: Record<string, string> | null | undefined;
  },
): Stripe.Refund {
  const charge = chargeToRefund(sandbox, given);
  const left = charge.amount_captured - charge.amount_refunded;
  if (left === 0)
    throw invalidRequest(`Charge ${charge.id} has already been refunded.`, {
      code: "charge_already_refunded",
    });
  const amount = given.amount ?? left;
  if (amount > left)
    throw invalidRequest(
      `Refund amount (${amount}) is greater than unrefunded amount on charge (${left})`,
      { param: "amount" },
    );
  refuseOffStep(amount, charge.currency, "amount");
  if (charge.disputed)
    throw invalidRequest(`Charge ${charge.id} has been charged back; cannot issue a refund.`, {
      code: "charge_disputed",
    });
  const refund = sandbox.store.put("refund", {
    id: sandbox.ids.next("re"),
    object: "refund",
    amount,
    balance_transaction: null,
    charge: charge.id,
    created: sandbox.now(),
    currency: charge.currency,
    customer: idOrNull(charge.customer),
    customer_account: null,
    destination_details: {
      type: "card",
      card: {
        reference_status: "pending",
        reference_type: "acquirer_reference_number",
        type: "refund",
      },
    },
    metadata: changedMetadata({}, given.metadata),
    payment_intent: idOrNull(charge.payment_intent),
    payment_method: charge.payment_method,
    reason: given.reason ?? null,
    receipt_number: null,
    source_transfer_reversal: null,
    status: "succeeded",
    transfer_reversal: null,
  });
  sandbox.emit("refund.created", refund);
  const refunded = charge.amount_refunded + amount;
  const { object, previous } = sandbox.change("charge", charge.id, {
    amount_refunded: refunded,
    refunded: refunded === charge.amount_captured,
  });
  sandbox.emit("charge.refunded", object, previous);
  return refund;
}

function chargeToRefund(
  sandbox: Sandbox,
  given: { charge?: string | undefined; payment_intent?: string | undefined },
): Stripe.Charge {
  if (given.charge !== undefined) {
    const charge = sandbox.refer("charge", given.charge, "charge");
    if (charge.status !== "succeeded")
      throw invalidRequest(`Charge ${charge.id} failed, so it cannot be refunded.`);
    return charge;
  }
  if (given.payment_intent === undefined)
    throw invalidRequest(
      "One of the following params should be provided for this request: payment_intent or charge.",
      { code: "parameter_missing", param: "charge" },
    );
  const intent = sandbox.refer("payment_intent", given.payment_intent, "payment_intent");
  if (intent.status !== "succeeded" || intent.latest_charge === null)
    throw invalidRequest(
      `This PaymentIntent (${intent.id}) does not have a successful charge to refund.`,
      { param: "payment_intent" },
    );
  const charge = sandbox.store.get("charge", idOf(intent.latest_charge));
  if (charge === undefined) throw noSuchReference("charge", idOf(intent.latest_charge), "charge");
  return charge;
}

/** When a refund that seemed to succeed will fail, because the card is the one whose refunds fail; null: never. */
export function refundFailsAt(sandbox: Sandbox, refund: Stripe.Refund): number | null {
  const method = refund.payment_method === null ? null : idOf(refund.payment_method);
  if (refund.status !== "succeeded" || method === null) return null;
  return testCardOf(sandbox, method).refundsFail ? refund.created + SECONDS_TO_FAILURE : null;
}

/** The bank sends the money back: the charge counts as not refunded by this amount. */
export function failRefund(sandbox: Sandbox, id: string): void {
  const { object, previous } = sandbox.change("refund", id, {
    status: "failed",
    failure_reason: "expired_or_canceled_card",
  });
  if (object.charge !== null) {
    const charge = sandbox.find("charge", idOf(object.charge));
    sandbox.change("charge", charge.id, {
      amount_refunded: charge.amount_refunded - object.amount,
      refunded: false,
    });
  }
  sandbox.emit("refund.updated", object, previous);
  sandbox.emit("charge.refund.updated", object, previous);
  sandbox.emit("refund.failed", object);
}

export const refundOperations = [
  operation({
    method: "POST",
    path: "/v1/refunds",
    returns: "refund",
    params: paramsOf<Stripe.RefundCreateParams>()({
      amount: int({ min: 1 }).optional(),
      charge: text().optional(),
      metadata: metadata().optional(),
      payment_intent: text().optional(),
      reason: choice(["duplicate", "fraudulent", "requested_by_customer"]).optional(),
    }),
    run: ({ sandbox, params }) => createRefund(sandbox, params),
  }),
  operation({
    method: "GET",
    path: "/v1/refunds/:id",
    returns: "refund",
    params: paramsOf<Stripe.RefundRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("refund", id),
  }),
  listOperation({
    path: "/v1/refunds",
    of: "refund",
    params: listParamsOf<Stripe.RefundListParams>()({
      charge: text().optional(),
      payment_intent: text().optional(),
    }),
    keep: (params) => (refund) =>
      (params.charge === undefined || idOrNull(refund.charge) === params.charge) &&
      (params.payment_intent === undefined ||
        idOrNull(refund.payment_intent) === params.payment_intent),
  }),
];
