import { ok, type Refusal, type Result } from "#core/result.ts";
import { storeDeliveries, type Delivery } from "#db/messages/inbox.ts";
import type { Deps } from "#commands/deps.ts";
import { inGroups } from "#commands/in-groups.ts";

/**
 * A first invoice is delivered beside its Checkout Session, which says all that it says: a few seconds later it is
 * known, and costs no look at the provider. A renewal can wait as long.
 */
const INVOICE_DELAY_S = 5;
/** Deliveries that are stored, or rung for, at once. */
const MOST_AT_ONCE = 50;

type Received = Result<
  { messageId: string; seen: "first" | "repeat" },
  Refusal<"signature_invalid" | "event_malformed">
>;

/**
 * Stores signed deliveries as they came, and rings the worker. Answers fast: nothing is looked up here, and deliveries
 * that come while others are being stored are stored, and rung for, together. A lost ring is caught by `retry-inbox`;
 * a repeat rings again, which is harmless.
 */
export function createStripeReceiver(
  deps: Pick<Deps, "db" | "clock" | "payments" | "queues">,
): (input: { body: string; signature: string | undefined }) => Promise<Received> {
  const store = inGroups<Delivery, "first" | "repeat">(MOST_AT_ONCE, (deliveries) =>
    storeDeliveries(deps.db, deliveries),
  );
  const ringing = (options?: { delaySeconds: number }) =>
    inGroups<string, void>(MOST_AT_ONCE, async (ids) => {
      const messages = ids.map((messageId) => ({ source: "stripe", messageId }));
      await deps.queues.send("billing-events", messages, options);
      return ids.map(() => undefined);
    });
  const ring = ringing();
  const ringForInvoice = ringing({ delaySeconds: INVOICE_DELAY_S });

  return async ({ body, signature }) => {
    const event = await deps.payments.verifyWebhook(body, signature);
    if (!event.ok) return event;
    const { id, object } = event.value;
    const seen = await store({ event: event.value, body, receivedAt: deps.clock.now() });
    await (object.kind === "invoice" ? ringForInvoice : ring)(id);
    return ok({ messageId: id, seen });
  };
}
