import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda";
import { BillingDoorbell } from "#core/contracts/events.ts";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import type { Deps } from "#commands/deps.ts";
import { inGroups } from "#commands/in-groups.ts";
import { relayOutbox } from "#commands/messages/relay-outbox.ts";
import { lambda } from "#commands/runtime.ts";
import { batchHandler, type BatchHandler } from "./batch.ts";

/** Applies the deliveries that the `billing-events` queue names. */
export const createBillingEventsConsumer = (deps: Deps): BatchHandler => {
  // Deliveries that are applied while one relay is under way share the next.
  const relay = inGroups<string, void>(MOST_AT_ONCE, async (applied) => {
    await relayOutbox(deps);
    return applied.map(() => undefined);
  });
  return batchHandler(deps, "billing_event.apply", async (body, add) => {
    const { messageId } = BillingDoorbell.parse(body);
    add({ delivery_id: messageId });
    const result = await applyBillingEvent(deps, messageId);
    add({ result });
    if (!WRITES_NOTHING.has(result)) await relay(messageId);
    return "done";
  });
};

/** Outcomes that leave nothing to relay. */
const WRITES_NOTHING: ReadonlySet<Awaited<ReturnType<typeof applyBillingEvent>>> = new Set([
  "known",
  "taken",
  "ignored",
  "unhandled",
  "repeat",
  "delivery_unknown",
]);
const MOST_AT_ONCE = 100;

export const handler = lambda<SQSEvent, Context, SQSBatchResponse>(createBillingEventsConsumer);
