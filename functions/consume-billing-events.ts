import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda";
import { BillingDoorbell } from "#core/contracts/events.ts";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import type { Deps } from "#commands/deps.ts";
import { relayOutbox } from "#commands/messages/relay-outbox.ts";
import { lambda } from "#commands/runtime.ts";
import { batchHandler, type BatchHandler } from "./batch.ts";

/** Applies the deliveries that the `billing-events` queue names. */
export const createBillingEventsConsumer = (deps: Deps): BatchHandler =>
  batchHandler(deps, "billing_event.apply", async (body, add) => {
    const { messageId } = BillingDoorbell.parse(body);
    add({ delivery_id: messageId });
    const result = await applyBillingEvent(deps, messageId);
    add({ result });
    await relayOutbox(deps);
    return "done";
  });

export const handler = lambda<SQSEvent, Context, SQSBatchResponse>(createBillingEventsConsumer);
