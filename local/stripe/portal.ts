import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import { listOperation, operation } from "./operation.ts";
import {
  bool,
  changedMetadata,
  choice,
  clearable,
  listOf,
  listParamsOf,
  metadata,
  paramsOf,
  text,
  tree,
  url,
} from "./params.ts";
import type { Sandbox } from "./sandbox.ts";

/*
 * The customer portal: what a configuration lets a customer do there, and the sessions that lead to its page
 * (https://docs.stripe.com/customer-management/integrate-customer-portal).
 */

const UPDATES = ["address", "email", "name", "phone", "shipping", "tax_id"] as const;
const toggle = () => tree({ enabled: bool() }).optional();

const createParams = paramsOf<Stripe.BillingPortal.ConfigurationCreateParams>()({
  business_profile: tree({
    headline: clearable(text(60)).optional(),
    privacy_policy_url: url().optional(),
    terms_of_service_url: url().optional(),
  }).optional(),
  default_return_url: clearable(url()).optional(),
  features: tree({
    customer_update: tree({
      enabled: bool(),
      allowed_updates: clearable(listOf(choice(UPDATES))).optional(),
    }).optional(),
    invoice_history: toggle(),
    payment_method_update: toggle(),
    subscription_cancel: toggle(),
    subscription_update: toggle(),
  }),
  metadata: metadata().optional(),
  name: clearable(text(256)).optional(),
});
type ConfigurationDraft = ReturnType<(typeof createParams)["parse"]>;

function createConfiguration(
  sandbox: Sandbox,
  { features, ...draft }: ConfigurationDraft,
): Stripe.BillingPortal.Configuration {
  const { customer_update: update, subscription_update: change } = features;
  const allowed = update?.allowed_updates ?? [];
  if (update?.enabled === true && allowed.length === 0)
    throw invalidRequest(
      "You must provide `allowed_updates` when `features[customer_update][enabled]` is true.",
      { param: "features[customer_update][allowed_updates]" },
    );
  // With it come the products that may be chosen: nobody asks for that here.
  if (change?.enabled === true)
    throw invalidRequest("The local stand-in's portal changes no plans.", {
      param: "features[subscription_update][enabled]",
    });
  const now = sandbox.now();
  const configuration = sandbox.store.put("portal_configuration", {
    id: sandbox.ids.next("bpc"),
    object: "billing_portal.configuration",
    active: true,
    application: null,
    business_profile: {
      headline: draft.business_profile?.headline ?? null,
      privacy_policy_url: draft.business_profile?.privacy_policy_url ?? null,
      terms_of_service_url: draft.business_profile?.terms_of_service_url ?? null,
    },
    created: now,
    default_return_url: draft.default_return_url ?? null,
    features: {
      customer_update: { allowed_updates: allowed, enabled: update?.enabled ?? false },
      invoice_history: { enabled: features.invoice_history?.enabled ?? false },
      payment_method_update: {
        enabled: features.payment_method_update?.enabled ?? false,
        payment_method_configuration: null,
      },
      subscription_cancel: {
        cancellation_reason: { enabled: false, feedback_options: null, options: [] },
        enabled: features.subscription_cancel?.enabled ?? false,
        mode: "at_period_end",
        proration_behavior: "none",
      },
      subscription_pause: {
        duration: { interval_options: [], type: "indefinite" },
        enabled: false,
      },
      subscription_update: {
        billing_cycle_anchor: null,
        default_allowed_updates: [],
        enabled: false,
        proration_behavior: "none",
        schedule_at_period_end: { conditions: [] },
        trial_update_behavior: "end_trial",
      },
    },
    is_default: false,
    livemode: false,
    login_page: { enabled: false, url: null },
    metadata: changedMetadata({}, draft.metadata),
    name: draft.name ?? null,
    updated: now,
  });
  sandbox.emit("billing_portal.configuration.created", configuration);
  return configuration;
}

function createSession(
  sandbox: Sandbox,
  given: { configuration?: string | undefined; customer: string; return_url?: string | undefined },
): Stripe.BillingPortal.Session {
  sandbox.refer("customer", given.customer, "customer");
  // The dashboard's own default is an account's setting, which this one never made.
  if (given.configuration === undefined)
    throw invalidRequest(
      "You can't create a portal session in test mode until you save your customer portal settings in test mode.",
    );
  const configuration = sandbox.refer("portal_configuration", given.configuration, "configuration");
  if (!configuration.active)
    throw invalidRequest(`The configuration ${configuration.id} is inactive.`, {
      param: "configuration",
    });
  const id = sandbox.ids.next("bps");
  const session = sandbox.store.put("portal_session", {
    id,
    object: "billing_portal.session",
    configuration: configuration.id,
    created: sandbox.now(),
    customer: given.customer,
    customer_account: null,
    flow: null,
    livemode: false,
    locale: null,
    on_behalf_of: null,
    return_url: given.return_url ?? configuration.default_return_url,
    url: `${sandbox.settings.publicUrl}/p/session/${id}`,
  });
  sandbox.emit("billing_portal.session.created", session);
  return session;
}

export const portalOperations = [
  operation({
    method: "POST",
    path: "/v1/billing_portal/configurations",
    returns: "portal_configuration",
    params: createParams,
    run: ({ sandbox, params }) => createConfiguration(sandbox, params),
  }),
  operation({
    method: "GET",
    path: "/v1/billing_portal/configurations/:id",
    returns: "portal_configuration",
    params: paramsOf<Stripe.BillingPortal.ConfigurationRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("portal_configuration", id),
  }),
  operation({
    method: "POST",
    path: "/v1/billing_portal/configurations/:id",
    returns: "portal_configuration",
    params: paramsOf<Stripe.BillingPortal.ConfigurationUpdateParams>()({
      active: bool().optional(),
      metadata: metadata().optional(),
    }),
    run: ({ sandbox, id, params }) => {
      const before = sandbox.find("portal_configuration", id);
      const { object, previous } = sandbox.change("portal_configuration", id, {
        active: params.active ?? before.active,
        metadata: changedMetadata(before.metadata ?? {}, params.metadata),
        updated: sandbox.now(),
      });
      sandbox.emit("billing_portal.configuration.updated", object, previous);
      return object;
    },
  }),
  listOperation({
    path: "/v1/billing_portal/configurations",
    of: "portal_configuration",
    params: listParamsOf<Stripe.BillingPortal.ConfigurationListParams>()({
      active: bool().optional(),
      is_default: bool().optional(),
    }),
    keep:
      ({ active, is_default: isDefault }) =>
      (each) =>
        (active === undefined || each.active === active) &&
        (isDefault === undefined || each.is_default === isDefault),
  }),
  operation({
    method: "POST",
    path: "/v1/billing_portal/sessions",
    returns: "portal_session",
    params: paramsOf<Stripe.BillingPortal.SessionCreateParams>()({
      configuration: text().optional(),
      customer: text(),
      return_url: url().optional(),
    }),
    run: ({ sandbox, params }) => createSession(sandbox, params),
  }),
];
