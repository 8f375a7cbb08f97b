import type { buildApp } from "fauxqs";
import { z } from "zod";
import { sqsFailures, sqsRefusal, type SqsRefusal } from "./sqs-rules.ts";

const JSON_1_0 = "application/x-amz-json-1.0";
/** Codes whose names in the JSON protocol are others: those that the service's model does not have. */
const UNMODELED: Record<string, string> = {
  InvalidParameterValue: "com.amazon.coral.service#InvalidParameterValueException",
  MissingParameter: "com.amazon.coral.service#MissingRequiredParameterException",
  SerializationException: "com.amazon.coral.service#SerializationException",
};
const PREFIX = "AWS.SimpleQueueService.";

const Batch = z.looseObject({ Entries: z.array(z.looseObject({ Id: z.string() })) });
const BatchAnswer = z.looseObject({ Failed: z.array(z.unknown()).default([]) });
const Refused = z.object({ __type: z.string(), message: z.string() });

/**
 * Puts SQS's rules (`sqs-rules.ts`) before fauxqs: what they refuse never gets to a queue, and is refused on the wire as
 * SQS does it. What fauxqs refuses by itself goes out under SQS's names too.
 */
export function refuseLikeSqs(server: ReturnType<typeof buildApp>): void {
  const failedOf = new WeakMap<object, ReadonlyMap<string, SqsRefusal>>();

  server.addHook("preHandler", async (request, reply) => {
    const action = actionOf(request.headers["x-amz-target"]);
    if (action === undefined) return;
    const refusal = sqsRefusal(action, request.body);
    if (refusal !== undefined) {
      const { type, query } = namesOf(refusal.code);
      return reply
        .status(400)
        .headers({ "content-type": JSON_1_0, "x-amzn-query-error": query })
        .send(JSON.stringify({ __type: type, message: refusal.message }));
    }
    const failed = sqsFailures(action, request.body);
    if (failed.size === 0) return;
    failedOf.set(request, failed);
    const batch = Batch.parse(request.body);
    const taken = batch.Entries.filter(({ Id }) => !failed.has(Id));
    request.body = { ...batch, Entries: taken };
    if (taken.length === 0)
      return reply.header("content-type", JSON_1_0).send(JSON.stringify({ Successful: [] }));
  });

  server.addHook("onSend", async (request, reply, payload) => {
    const action = actionOf(request.headers["x-amz-target"]);
    if (action === undefined || typeof payload !== "string") return payload;
    const failed = failedOf.get(request);
    if (failed !== undefined && reply.statusCode === 200) {
      const answer = BatchAnswer.parse(JSON.parse(payload));
      const more = Array.from(failed, ([Id, { code, message }]) => ({
        Id,
        SenderFault: true,
        Code: code,
        Message: message,
      }));
      return JSON.stringify({ ...answer, Failed: [...answer.Failed, ...more] });
    }
    if (reply.statusCode !== 400) return payload;
    const refused = Refused.safeParse(JSON.parse(payload));
    const code = refused.data?.__type.split("#")[1] ?? "";
    if (!refused.success || UNMODELED[code] === undefined) return payload;
    const { type, query } = namesOf(code);
    reply.header("x-amzn-query-error", query);
    return JSON.stringify({ ...refused.data, __type: type });
  });
}

/** How the JSON protocol and the header for clients of the older Query protocol name a refusal. */
function namesOf(code: string): { type: string; query: string } {
  const bare = code.startsWith(PREFIX) ? code.slice(PREFIX.length) : code;
  return { type: UNMODELED[bare] ?? `com.amazonaws.sqs#${bare}`, query: `${code};Sender` };
}

function actionOf(target: string | string[] | undefined): string | undefined {
  return typeof target === "string" && target.startsWith("AmazonSQS.")
    ? target.slice("AmazonSQS.".length)
    : undefined;
}
