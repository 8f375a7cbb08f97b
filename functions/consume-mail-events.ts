import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda";
import { readMailEvent } from "#core/messages/mail-event.ts";
import type { MailEventsDeps } from "#commands/deps.ts";
import { noteMailEvent } from "#commands/messages/note-mail-event.ts";
import { mailEventsLambda } from "#commands/runtime.ts";
import { batchHandler, type BatchHandler } from "./batch.ts";

/** Notes what SES tells of mails that were sent: by EventBridge, whose rule has our queue as its target. */
export const createMailEventsConsumer = (deps: MailEventsDeps): BatchHandler =>
  batchHandler(deps, "mail_event.note", async (body, add) => {
    const event = readMailEvent(body);
    if (event === undefined) {
      add({ result: "passed_over" });
      return "done";
    }
    const { mailId, told } = event;
    add({ mail_id: mailId, told, result: await noteMailEvent(deps, event) });
    return "done";
  });

export const handler = mailEventsLambda<SQSEvent, Context, SQSBatchResponse>(
  createMailEventsConsumer,
);
