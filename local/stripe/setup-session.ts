import type { Stripe } from "stripe";
import { cardOf, type TestCard } from "./cards.ts";
import { NO_SUCH_CARD, type PageOutcome } from "./page-outcome.ts";
import { attach, createPaymentMethod, testCardOf } from "./payment-methods.ts";
import { AUTHENTICATION_FAILURE } from "./payments.ts";
import { idOrNull, type Sandbox } from "./sandbox.ts";

/*
 * Checkout in mode `setup`: a card is saved and nothing is charged (https://docs.stripe.com/payments/save-and-reuse). It becomes nobody's
 * default: whoever made the page says so of the customer and of each subscription.
 */

/** Made with its session, as at Stripe, and used up by it. */
export function createSetupIntent(
  sandbox: Sandbox,
  given: {
    customer: string | null;
    description: string | null;
    metadata: Record<string, string>;
  },
): Stripe.SetupIntent {
  const id = sandbox.ids.next("seti");
  const intent = sandbox.store.put("setup_intent", {
    id,
    object: "setup_intent",
    allowed_payment_method_types: null,
    application: null,
    automatic_payment_methods: null,
    cancellation_reason: null,
    client_secret: `${id}_${sandbox.ids.next("secret")}`,
    created: sandbox.now(),
    customer: given.customer,
    customer_account: null,
    description: given.description,
    excluded_payment_method_types: null,
    flow_directions: null,
    last_setup_error: null,
    latest_attempt: null,
    livemode: false,
    managed_payments: null,
    mandate: null,
    metadata: given.metadata,
    next_action: null,
    on_behalf_of: null,
    payment_method: null,
    payment_method_configuration_details: null,
    payment_method_options: null,
    payment_method_types: ["card"],
    single_use_mandate: null,
    status: "requires_payment_method",
    usage: "off_session",
  });
  sandbox.emit("setup_intent.created", intent);
  return intent;
}

/** Saves a typed card on an open session. The card decides what happens (`cards.ts`). */
export function saveTypedCard(sandbox: Sandbox, id: string, typed: string): PageOutcome {
  const card = cardOf(typed);
  if (card === undefined) return NO_SUCH_CARD;
  const session = sandbox.find("checkout_session", id);
  const email = session.customer_details?.email ?? null;
  const method = createPaymentMethod(sandbox, card, { email }).id;
  if (!card.authenticates) return save(sandbox, session, method, card);
  const { object } = sandbox.change("setup_intent", intentOf(session), {
    status: "requires_action",
    payment_method: method,
    next_action: { type: "use_stripe_sdk", use_stripe_sdk: {} },
  });
  sandbox.emit("setup_intent.requires_action", object);
  sandbox.change("checkout_detail", id, { authenticating: method });
  return { step: "authenticate" };
}

/** The person answered the bank's question about the card that they save. */
export function answerForCard(
  sandbox: Sandbox,
  id: string,
  { method, succeeded }: { method: string; succeeded: boolean },
): PageOutcome {
  const session = sandbox.find("checkout_session", id);
  if (succeeded) return save(sandbox, session, method, testCardOf(sandbox, method));
  return fail(sandbox, session, method, {
    type: "invalid_request_error",
    code: "setup_intent_authentication_failure",
    message: AUTHENTICATION_FAILURE.message,
  });
}

function save(
  sandbox: Sandbox,
  session: Stripe.Checkout.Session,
  method: string,
  { decline }: TestCard,
): PageOutcome {
  if (decline !== null) {
    const { code, declineCode, message } = decline;
    return fail(sandbox, session, method, {
      type: "card_error",
      code,
      decline_code: declineCode,
      message,
    });
  }
  const customer = idOrNull(session.customer);
  if (customer !== null) attach(sandbox, method, customer);
  const { object: intent } = sandbox.change("setup_intent", intentOf(session), {
    status: "succeeded",
    payment_method: method,
    next_action: null,
    last_setup_error: null,
  });
  sandbox.emit("setup_intent.succeeded", intent);
  const { object } = sandbox.change("checkout_session", session.id, {
    status: "complete",
    url: null,
  });
  sandbox.emit("checkout.session.completed", object);
  return {
    step: "done",
    redirectTo: (session.success_url ?? "").replaceAll("{CHECKOUT_SESSION_ID}", session.id),
  };
}

function fail(
  sandbox: Sandbox,
  session: Stripe.Checkout.Session,
  method: string,
  error: { type: "card_error" | "invalid_request_error"; code: string; message: string } & {
    decline_code?: string;
  },
): PageOutcome {
  const { object } = sandbox.change("setup_intent", intentOf(session), {
    status: "requires_payment_method",
    payment_method: null,
    next_action: null,
    last_setup_error: { ...error, payment_method: sandbox.find("payment_method", method) },
  });
  sandbox.emit("setup_intent.setup_failed", object);
  return { step: "refused", status: 402, code: error.code, message: error.message };
}

/** The session is over: its intent saves nothing any more. */
export function cancelSetupIntent(sandbox: Sandbox, id: string): void {
  const { object } = sandbox.change("setup_intent", id, { status: "canceled", next_action: null });
  sandbox.emit("setup_intent.canceled", object);
}

function intentOf(session: Stripe.Checkout.Session): string {
  const intent = idOrNull(session.setup_intent);
  if (intent === null) throw new Error(`session ${session.id} saves no card`);
  return intent;
}
