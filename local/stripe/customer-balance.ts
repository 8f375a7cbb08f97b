import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import { listOperation, operation } from "./operation.ts";
import { changedMetadata, int, listParamsOf, metadata, paramsOf, text } from "./params.ts";
import { idOf, type Sandbox } from "./sandbox.ts";

/** Moves what a customer owes (a negative balance is credit), and keeps why. */
export function moveBalance(
  sandbox: Sandbox,
  customerId: string,
  move: {
    amount: number;
    currency: string;
    type: "adjustment" | "applied_to_invoice" | "unapplied_from_invoice";
    invoice: string | null;
    metadata: Record<string, string>;
  },
): Stripe.CustomerBalanceTransaction {
  const customer = sandbox.find("customer", customerId);
  // docs.stripe.com/billing/customer/balance: the balance is in the customer's currency.
  if (customer.currency != null && customer.currency !== move.currency)
    throw invalidRequest(
      `The currency ${move.currency} is not the customer's, ${customer.currency}.`,
      { param: "currency" },
    );
  const balance = customer.balance + move.amount;
  const { object, previous } = sandbox.change("customer", customerId, { balance });
  sandbox.emit("customer.updated", object, previous);
  return sandbox.store.put("balance_transaction", {
    id: sandbox.ids.next("cbtxn"),
    object: "customer_balance_transaction",
    amount: move.amount,
    checkout_session: null,
    created: sandbox.now(),
    credit_note: null,
    currency: move.currency,
    customer: customerId,
    customer_account: null,
    description: null,
    ending_balance: balance,
    invoice: move.invoice,
    livemode: false,
    metadata: move.metadata,
    type: move.type,
  });
}

export const customerBalanceOperations = [
  operation({
    method: "POST",
    path: "/v1/customers/:id/balance_transactions",
    returns: "balance_transaction",
    params: paramsOf<Stripe.CustomerCreateBalanceTransactionParams>()({
      amount: int({}),
      currency: text(),
      metadata: metadata().optional(),
    }),
    run: ({ sandbox, id, params }) =>
      moveBalance(sandbox, id, {
        amount: params.amount,
        currency: params.currency,
        type: "adjustment",
        invoice: null,
        metadata: changedMetadata({}, params.metadata),
      }),
  }),
  listOperation({
    path: "/v1/customers/:id/balance_transactions",
    of: "balance_transaction",
    params: listParamsOf<Stripe.CustomerListBalanceTransactionsParams>()({}),
    keep: (_params, id) => (each) => idOf(each.customer) === id,
  }),
];
