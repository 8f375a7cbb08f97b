import { ok, type Refusal, type Result } from "#core/result.ts";
import { storeDelivery } from "#db/messages/inbox.ts";
import type { Deps } from "#commands/deps.ts";

/**
 * A first invoice is delivered beside its Checkout Session, which says all that it says: a few seconds later it is
 * known, and costs no look at the provider. A renewal can wait as long.
 */
const INVOICE_DELAY_S = 5;

/**
 * Stores a signed delivery as it came, and rings the worker. Answers fast: nothing is looked up here. A lost ring
 * is caught by `retry-inbox`; a repeat rings again, which is harmless.
 */
export async function receiveStripeEvent(
  deps: Pick<Deps, "db" | "clock" | "payments" | "queues">,
  input: { body: string; signature: string | undefined },
): Promise<
  Result<
    { messageId: string; seen: "first" | "repeat" },
    Refusal<"signature_invalid" | "event_malformed">
  >
> {
  const event = await deps.payments.verifyWebhook(input.body, input.signature);
  if (!event.ok) return event;
  const seen = await storeDelivery(deps.db, event.value, input.body, deps.clock.now());
  await deps.queues.send(
    "billing-events",
    [{ source: "stripe", messageId: event.value.id }],
    event.value.object.kind === "invoice" ? { delaySeconds: INVOICE_DELAY_S } : undefined,
  );
  return ok({ messageId: event.value.id, seen });
}
