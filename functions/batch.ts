import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { READ_QUEUES } from "#core/ports.ts";
import type { Deps } from "#commands/deps.ts";

/**
 * What became of a message. `done`: forget it. `retry`: it comes again, and after some tries goes to the dead-letter
 * queue. A throw means retry (style §12).
 */
export type Outcome = "done" | "retry";

export type BatchHandler = (batch: SQSEvent) => Promise<SQSBatchResponse>;

/** A handler of SQS batches that answers for each message on its own. `work` gets the body as parsed JSON. */
export function batchHandler(
  deps: Pick<Deps, "clock" | "log" | "metrics">,
  name: string,
  work: (body: unknown, add: (fields: Record<string, unknown>) => void) => Promise<Outcome>,
): BatchHandler {
  return async (batch) => {
    const outcomes = await Promise.all(
      batch.Records.map(async (record) => {
        const started = deps.clock.now();
        tellLag(deps, record);
        const fields: Record<string, unknown> = {
          message_id: record.messageId,
          attempt: Number(record.attributes.ApproximateReceiveCount),
        };
        let outcome: Outcome = "retry";
        try {
          outcome = await work(JSON.parse(record.body), (more) => Object.assign(fields, more));
        } catch (error) {
          fields["error"] = error;
        }
        const write = outcome === "done" ? deps.log.info : deps.log.error;
        write(name, { ...fields, outcome, duration_ms: +deps.clock.now() - +started });
        return { itemIdentifier: record.messageId, outcome };
      }),
    );
    return {
      batchItemFailures: outcomes
        .filter((o) => o.outcome === "retry")
        .map(({ itemIdentifier }) => ({ itemIdentifier })),
    };
  };
}

/** `billing-events` is `Berth-BillingEventsQueue4A7C…` on AWS. */
const flat = (name: string) => name.replaceAll("-", "").toLowerCase();

/** How long it lay in its queue, by the queue's own clock. One that comes again has been told already. */
function tellLag(deps: Pick<Deps, "metrics">, { attributes, eventSourceARN }: SQSRecord): void {
  const sent = Number(attributes.SentTimestamp);
  const received = Number(attributes.ApproximateFirstReceiveTimestamp);
  const source = flat(eventSourceARN);
  const queue = READ_QUEUES.find((name) => source.includes(flat(name)));
  if (queue === undefined || attributes.ApproximateReceiveCount !== "1") return;
  if (sent > 0 && received >= sent)
    deps.metrics.observe("berth_queue_lag_seconds", { queue }, (received - sent) / 1000);
}
