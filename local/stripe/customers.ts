import type { Stripe } from "stripe";
import { operation, listOperation } from "./operation.ts";
import {
  address,
  changedMetadata,
  clearable,
  listParamsOf,
  metadata,
  paramsOf,
  text,
  tree,
} from "./params.ts";
import { methodOf } from "./payment-methods.ts";
import { idOf, type Sandbox } from "./sandbox.ts";
import { endSubscription } from "./subscription-states.ts";

const invoiceSettings = tree({ default_payment_method: clearable(text()).optional() });
const fields = {
  address: address().optional(),
  description: clearable(text()).optional(),
  email: clearable(text(512)).optional(),
  invoice_settings: invoiceSettings.optional(),
  metadata: metadata().optional(),
  name: clearable(text(256)).optional(),
  phone: clearable(text(20)).optional(),
};

type AddressParam = { [K in keyof Stripe.Address]?: string | null | undefined };
const addressOf = (given: AddressParam | null | undefined): Stripe.Address | null =>
  given === null || given === undefined
    ? null
    : {
        city: given.city ?? null,
        country: given.country ?? null,
        line1: given.line1 ?? null,
        line2: given.line2 ?? null,
        postal_code: given.postal_code ?? null,
        state: given.state ?? null,
      };

type CustomerChange = {
  address?: AddressParam | null | undefined;
  description?: string | null | undefined;
  email?: string | null | undefined;
  invoice_settings?: { default_payment_method?: string | null | undefined } | undefined;
  metadata?: Record<string, string> | null | undefined;
  name?: string | null | undefined;
  phone?: string | null | undefined;
};

/** A new customer, with nothing to pay with yet. */
export function createCustomer(
  sandbox: Sandbox,
  given: Omit<CustomerChange, "invoice_settings">,
): Stripe.Customer {
  const id = sandbox.ids.next("cus");
  const customer = sandbox.store.put("customer", {
    id,
    object: "customer",
    address: addressOf(given.address),
    balance: 0,
    created: sandbox.now(),
    currency: null,
    customer_account: null,
    default_source: null,
    delinquent: false,
    description: given.description ?? null,
    discount: null,
    email: given.email ?? null,
    invoice_prefix: id.slice(-8).toUpperCase(),
    invoice_settings: {
      custom_fields: null,
      default_payment_method: null,
      footer: null,
      rendering_options: null,
    },
    livemode: false,
    metadata: changedMetadata({}, given.metadata),
    name: given.name ?? null,
    next_invoice_sequence: 1,
    phone: given.phone ?? null,
    preferred_locales: [],
    shipping: null,
    tax_exempt: "none",
    test_clock: null,
  });
  sandbox.emit("customer.created", customer);
  return customer;
}

/** Sets what is named. A default card must be the customer's own. */
export function updateCustomer(
  sandbox: Sandbox,
  id: string,
  params: CustomerChange,
): Stripe.Customer {
  const before = sandbox.find("customer", id);
  const method = params.invoice_settings?.default_payment_method;
  if (typeof method === "string")
    methodOf(sandbox, method, id, "invoice_settings[default_payment_method]");
  const { object, previous } = sandbox.change("customer", id, {
    ...(params.address === undefined ? {} : { address: addressOf(params.address) }),
    ...(params.description === undefined ? {} : { description: params.description }),
    ...(params.email === undefined ? {} : { email: params.email }),
    ...(params.name === undefined ? {} : { name: params.name }),
    ...(params.phone === undefined ? {} : { phone: params.phone }),
    ...(method === undefined
      ? {}
      : { invoice_settings: { ...before.invoice_settings, default_payment_method: method } }),
    metadata: changedMetadata(before.metadata, params.metadata),
  });
  if (Object.keys(previous).length > 0) sandbox.emit("customer.updated", object, previous);
  return object;
}

/** Deleting a customer ends what they subscribe to; references to them stay, and say that they are deleted. */
function deleteCustomer(sandbox: Sandbox, id: string): Stripe.DeletedCustomer {
  const customer = sandbox.find("customer", id);
  for (const subscription of sandbox.store.all("subscription"))
    if (idOf(subscription.customer) === id && subscription.ended_at === null)
      endSubscription(sandbox, subscription.id, "cancellation_requested");
  sandbox.store.remove("customer", id);
  const deleted = sandbox.store.put("deleted_customer", { id, object: "customer", deleted: true });
  sandbox.emit("customer.deleted", customer);
  return deleted;
}

export const customerOperations = [
  operation({
    method: "POST",
    path: "/v1/customers",
    returns: "customer",
    params: paramsOf<Stripe.CustomerCreateParams>()({
      address: fields.address,
      description: fields.description,
      email: fields.email,
      metadata: fields.metadata,
      name: fields.name,
      phone: fields.phone,
    }),
    run: ({ sandbox, params }) => createCustomer(sandbox, params),
  }),
  operation({
    method: "GET",
    path: "/v1/customers/:id",
    returns: "customer",
    params: paramsOf<Stripe.CustomerRetrieveParams>()({}),
    run: ({ sandbox, id }) =>
      sandbox.store.get("deleted_customer", id) ?? sandbox.find("customer", id),
  }),
  operation({
    method: "POST",
    path: "/v1/customers/:id",
    returns: "customer",
    params: paramsOf<Stripe.CustomerUpdateParams>()(fields),
    run: ({ sandbox, id, params }) => updateCustomer(sandbox, id, params),
  }),
  operation({
    method: "DELETE",
    path: "/v1/customers/:id",
    returns: "customer",
    params: paramsOf<Stripe.CustomerDeleteParams>()({}),
    run: ({ sandbox, id }) => deleteCustomer(sandbox, id),
  }),
  listOperation({
    path: "/v1/customers",
    of: "customer",
    params: listParamsOf<Stripe.CustomerListParams>()({ email: text().optional() }),
    keep: (params) => (customer) => params.email === undefined || customer.email === params.email,
  }),
];
