import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda";
import { EventEnvelope, parseEvent } from "#core/contracts/events.ts";
import type { Deps } from "#commands/deps.ts";
import { handleEvent } from "#commands/handle-event.ts";
import { relayOutbox } from "#commands/messages/relay-outbox.ts";
import { lambda } from "#commands/runtime.ts";
import { batchHandler, type BatchHandler } from "./batch.ts";

/** Does the work that events of the outbox ask for outside their transactions: refunds, cancellations. */
export const createOutboxEventsConsumer = (deps: Deps): BatchHandler =>
  batchHandler(deps, "outbox_event.handle", async (body, add) => {
    const envelope = EventEnvelope.parse(body);
    const event = parseEvent(envelope.name, envelope.data);
    add({ event_id: envelope.id, event: event.name, ...event.data });
    add({ result: await handleEvent(deps, event) });
    await relayOutbox(deps);
    return "done";
  });

export const handler = lambda<SQSEvent, Context, SQSBatchResponse>(createOutboxEventsConsumer);
