import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import { listOperation, operation } from "./operation.ts";
import { changedMetadata, listParamsOf, metadata, paramsOf, text } from "./params.ts";
import { idOf, idOrNull, type Sandbox } from "./sandbox.ts";

const DAYS_TO_ANSWER = 9;

/** A cardholder disputes a charge. Opened by the control surface, or at once by the card ending in 0259. */
export function openDispute(
  sandbox: Sandbox,
  chargeId: string,
  given: { reason: string; amount?: number | undefined },
): Stripe.Dispute {
  const charge = sandbox.find("charge", chargeId);
  if (charge.status !== "succeeded")
    throw invalidRequest("Only a charge that succeeded is disputed.");
  if (charge.disputed) throw invalidRequest(`The charge ${chargeId} is already disputed.`);
  const amount = given.amount ?? charge.amount;
  if (amount > charge.amount)
    throw invalidRequest(`A dispute is at most the charge: ${charge.amount}.`);
  const dispute = sandbox.store.put("dispute", {
    id: sandbox.ids.next("du"),
    object: "dispute",
    amount,
    balance_transactions: [],
    charge: chargeId,
    created: sandbox.now(),
    currency: charge.currency,
    enhanced_eligibility_types: [],
    evidence: NO_EVIDENCE,
    evidence_details: {
      due_by: sandbox.now() + DAYS_TO_ANSWER * 86_400,
      enhanced_eligibility: {},
      has_evidence: false,
      past_due: false,
      submission_count: 0,
      submission_method: "not_submitted",
    },
    intended_submission_method: null,
    is_charge_refundable: false,
    livemode: false,
    metadata: {},
    payment_intent: idOrNull(charge.payment_intent),
    reason: given.reason,
    status: "needs_response",
  });
  const { object, previous } = sandbox.change("charge", chargeId, { disputed: true });
  sandbox.emit("charge.updated", object, previous);
  sandbox.emit("charge.dispute.created", dispute);
  sandbox.emit("charge.dispute.funds_withdrawn", dispute);
  return dispute;
}

/** The bank decides. `won` gives the money back to the merchant. */
export function closeDispute(
  sandbox: Sandbox,
  id: string,
  outcome: "won" | "lost",
): Stripe.Dispute {
  const before = sandbox.find("dispute", id);
  if (before.status === "won" || before.status === "lost")
    throw invalidRequest(`The dispute ${id} is already closed: ${before.status}.`);
  const { object, previous } = sandbox.change("dispute", id, { status: outcome });
  sandbox.emit("charge.dispute.closed", object, previous);
  if (outcome === "won") sandbox.emit("charge.dispute.funds_reinstated", object);
  return object;
}

const NO_EVIDENCE: Stripe.Dispute.Evidence = {
  access_activity_log: null,
  billing_address: null,
  cancellation_policy: null,
  cancellation_policy_disclosure: null,
  cancellation_rebuttal: null,
  customer_communication: null,
  customer_email_address: null,
  customer_name: null,
  customer_purchase_ip: null,
  customer_signature: null,
  duplicate_charge_documentation: null,
  duplicate_charge_explanation: null,
  duplicate_charge_id: null,
  enhanced_evidence: {},
  product_description: null,
  receipt: null,
  refund_policy: null,
  refund_policy_disclosure: null,
  refund_refusal_explanation: null,
  service_date: null,
  service_documentation: null,
  shipping_address: null,
  shipping_carrier: null,
  shipping_date: null,
  shipping_documentation: null,
  shipping_tracking_number: null,
  uncategorized_file: null,
  uncategorized_text: null,
};

export const disputeOperations = [
  operation({
    method: "GET",
    path: "/v1/disputes/:id",
    returns: "dispute",
    params: paramsOf<Stripe.DisputeRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("dispute", id),
  }),
  operation({
    method: "POST",
    path: "/v1/disputes/:id",
    returns: "dispute",
    params: paramsOf<Stripe.DisputeUpdateParams>()({ metadata: metadata().optional() }),
    run: ({ sandbox, id, params }) => {
      const before = sandbox.find("dispute", id);
      const { object, previous } = sandbox.change("dispute", id, {
        metadata: changedMetadata(before.metadata, params.metadata),
      });
      sandbox.emit("charge.dispute.updated", object, previous);
      return object;
    },
  }),
  operation({
    method: "POST",
    path: "/v1/disputes/:id/close",
    returns: "dispute",
    params: paramsOf<Stripe.DisputeCloseParams>()({}),
    run: ({ sandbox, id }) => closeDispute(sandbox, id, "lost"),
  }),
  listOperation({
    path: "/v1/disputes",
    of: "dispute",
    params: listParamsOf<Stripe.DisputeListParams>()({
      charge: text().optional(),
      payment_intent: text().optional(),
    }),
    keep: (params) => (dispute) =>
      (params.charge === undefined || idOf(dispute.charge) === params.charge) &&
      (params.payment_intent === undefined ||
        idOrNull(dispute.payment_intent) === params.payment_intent),
  }),
];
