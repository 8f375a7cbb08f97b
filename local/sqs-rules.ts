import { z } from "zod";

/*
 * What real SQS refuses and a queue in memory would take, with SQS's own codes and words. Limits:
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-quotas.html and the API reference of
 * each action; the words are those that others have recorded from it. Only what the product could send is here: no
 * FIFO queues, no policies.
 */

/** `code` as the Query protocol names it, which is what SQS's answers are known by. */
export type SqsRefusal = Readonly<{ code: string; message: string }>;

const LARGEST_BYTES = 1024 * 1024;
const MOST_ENTRIES = 10;
const MOST_ATTRIBUTES = 10;
const NAME = /^[A-Za-z0-9_-]{1,80}$/;
const FIFO = ".fifo";
/** Tab, line feed, carriage return, and all characters of XML 1.0 from the blank on; no lone surrogate. */
const CONTENTS = /^[\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]*$/u;

const Attribute = z.looseObject({
  DataType: z.string().optional(),
  StringValue: z.string().optional(),
  BinaryValue: z.string().optional(),
});
const MessageParts = {
  MessageBody: z.string().optional(),
  DelaySeconds: z.int().optional(),
  MessageAttributes: z.record(z.string(), Attribute).optional(),
};
const Entry = z.looseObject({
  ...MessageParts,
  Id: z.string().optional(),
  VisibilityTimeout: z.int().optional(),
});
const Body = z.looseObject({
  ...MessageParts,
  QueueName: z.string().optional(),
  Attributes: z.record(z.string(), z.string()).optional(),
  MaxNumberOfMessages: z.int().optional(),
  VisibilityTimeout: z.int().optional(),
  WaitTimeSeconds: z.int().optional(),
  Entries: z.array(Entry).optional(),
});
type Message = Pick<z.infer<typeof Entry>, keyof typeof MessageParts>;
type Entry = z.infer<typeof Entry>;
type Body = z.infer<typeof Body>;

const invalid = (message: string): SqsRefusal => ({ code: "InvalidParameterValue", message });
const within = (value: number | undefined, least: number, most: number): boolean =>
  value === undefined || (value >= least && value <= most);
const range = (name: string, value: number | undefined, least: number, most: number, why: string) =>
  within(value, least, most)
    ? undefined
    : invalid(`Value ${value} for parameter ${name} is invalid. Reason: ${why}`);

const ofAction: Record<string, (body: Body) => SqsRefusal | undefined> = {
  CreateQueue: (body) => ofQueueName(body) ?? ofQueueAttributes(body.Attributes),
  SetQueueAttributes: (body) => ofQueueAttributes(body.Attributes),
  SendMessage: (body) => ofMessage(body),
  ReceiveMessage: (body) =>
    range(
      "MaxNumberOfMessages",
      body.MaxNumberOfMessages,
      1,
      10,
      "Must be between 1 and 10, if provided.",
    ) ??
    range("WaitTimeSeconds", body.WaitTimeSeconds, 0, 20, "Must be >= 0 and <= 20, if provided.") ??
    ofVisibility(body),
  ChangeMessageVisibility: (body) => ofVisibility(body),
  SendMessageBatch: (body) => ofEntries("SendMessageBatch", body) ?? ofBatchSize(body),
  DeleteMessageBatch: (body) => ofEntries("DeleteMessageBatch", body),
  ChangeMessageVisibilityBatch: (body) => ofEntries("ChangeMessageVisibilityBatch", body),
};
const ofEntry: Record<string, (entry: Entry) => SqsRefusal | undefined> = {
  SendMessageBatch: (entry) => ofMessage(entry),
  ChangeMessageVisibilityBatch: (entry) => ofVisibility(entry),
};

/** Why SQS refuses a whole call; undefined: as far as this knows, it does not. */
export function sqsRefusal(action: string, body: unknown): SqsRefusal | undefined {
  const rule = ofAction[action];
  if (rule === undefined) return undefined;
  const parsed = Body.safeParse(body);
  if (!parsed.success)
    return { code: "SerializationException", message: z.prettifyError(parsed.error) };
  return rule(parsed.data);
}

/** What SQS refuses in a batch that it takes, by the entries' ids. */
export function sqsFailures(action: string, body: unknown): ReadonlyMap<string, SqsRefusal> {
  const failed = new Map<string, SqsRefusal>();
  const rule = ofEntry[action];
  const parsed = Body.safeParse(body);
  if (rule !== undefined && parsed.success)
    for (const entry of parsed.data.Entries ?? []) {
      const refusal = rule(entry);
      if (refusal !== undefined && entry.Id !== undefined) failed.set(entry.Id, refusal);
    }
  return failed;
}

function ofQueueName({ QueueName: name = "", Attributes = {} }: Body): SqsRefusal | undefined {
  const fifo = Attributes["FifoQueue"] === "true" && name.endsWith(FIFO);
  const plain = fifo ? `${name.slice(0, -FIFO.length)}_fifo` : name; // the ending counts
  return NAME.test(plain)
    ? undefined
    : invalid(
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
      );
}

const BOOLEAN = /^(true|false)$/;
const anything = () => true;
const number = (least: number, most: number) => (value: string) =>
  /^\d+$/.test(value) && within(Number(value), least, most);
const QUEUE_ATTRIBUTES: Record<string, (value: string) => boolean> = {
  DelaySeconds: number(0, 900),
  MaximumMessageSize: number(1024, LARGEST_BYTES),
  MessageRetentionPeriod: number(60, 1_209_600),
  ReceiveMessageWaitTimeSeconds: number(0, 20),
  VisibilityTimeout: number(0, 43_200),
  KmsDataKeyReusePeriodSeconds: number(60, 86_400),
  SqsManagedSseEnabled: (value) => BOOLEAN.test(value),
  FifoQueue: (value) => value === "true",
  ContentBasedDeduplication: (value) => BOOLEAN.test(value),
  DeduplicationScope: anything,
  FifoThroughputLimit: anything,
  KmsMasterKeyId: anything,
  Policy: anything,
  RedriveAllowPolicy: anything,
  RedrivePolicy: anything,
};

function ofQueueAttributes(attributes: Record<string, string> = {}): SqsRefusal | undefined {
  for (const [name, value] of Object.entries(attributes)) {
    const takes = Object.hasOwn(QUEUE_ATTRIBUTES, name) ? QUEUE_ATTRIBUTES[name] : undefined;
    if (takes === undefined)
      return { code: "InvalidAttributeName", message: `Unknown Attribute ${name}.` };
    if (!takes(value))
      return {
        code: "InvalidAttributeValue",
        message: `Invalid value for the parameter ${name}.`,
      };
  }
  return undefined;
}

const ofVisibility = ({ VisibilityTimeout: seconds }: { VisibilityTimeout?: number | undefined }) =>
  range(
    "VisibilityTimeout",
    seconds,
    0,
    43_200,
    "VisibilityTimeout must be an integer between 0 and 43200.",
  );

function ofMessage(message: Message): SqsRefusal | undefined {
  const { MessageBody: body = "", DelaySeconds: delay } = message;
  if (body === "")
    return {
      code: "MissingParameter",
      message: "The request must contain the parameter MessageBody.",
    };
  if (!CONTENTS.test(body))
    return {
      code: "InvalidMessageContents",
      message:
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
    };
  if (sizeOf(message) > LARGEST_BYTES)
    return invalid(
      `One or more parameters are invalid. Reason: Message must be shorter than ${LARGEST_BYTES} bytes.`,
    );
  return (
    range("DelaySeconds", delay, 0, 900, "DelaySeconds must be >= 0 and <= 900.") ??
    ofMessageAttributes(message.MessageAttributes)
  );
}

function ofMessageAttributes(attributes: Message["MessageAttributes"] = {}) {
  const all = Object.entries(attributes);
  if (all.length > MOST_ATTRIBUTES)
    return invalid(
      `Number of message attributes [${all.length}] exceeds the allowed maximum [${MOST_ATTRIBUTES}].`,
    );
  for (const [name, { DataType = "", StringValue, BinaryValue }] of all) {
    const named =
      /^[A-Za-z0-9_.-]{1,256}$/.test(name) && !/^\.|\.\.|\.$|^(aws|amazon)\./i.test(name);
    if (!named)
      return invalid(
        `The message attribute name '${name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.) characters.`,
      );
    const kind = /^(String|Number|Binary)(\.|$)/.exec(DataType)?.[1];
    if (kind === undefined)
      return invalid(
        `The message attribute '${name}' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.`,
      );
    if (((kind === "Binary" ? BinaryValue : StringValue) ?? "") === "")
      return invalid(
        `The message attribute '${name}' must contain non-empty message attribute value for message attribute type '${kind}'.`,
      );
  }
  return undefined;
}

function ofEntries(action: string, { Entries = [] }: Body): SqsRefusal | undefined {
  const code = (name: string) => `AWS.SimpleQueueService.${name}`;
  if (Entries.length === 0)
    return {
      code: code("EmptyBatchRequest"),
      message: `There should be at least one ${action}RequestEntry in the request.`,
    };
  if (Entries.length > MOST_ENTRIES)
    return {
      code: code("TooManyEntriesInBatchRequest"),
      message: `Maximum number of entries per request are ${MOST_ENTRIES}. You have sent ${Entries.length}.`,
    };
  const seen = new Set<string>();
  for (const { Id = "" } of Entries) {
    if (!NAME.test(Id))
      return {
        code: code("InvalidBatchEntryId"),
        message:
          "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
      };
    if (seen.has(Id))
      return { code: code("BatchEntryIdsNotDistinct"), message: `Id ${Id} repeated.` };
    seen.add(Id);
  }
  return undefined;
}

function ofBatchSize({ Entries = [] }: Body): SqsRefusal | undefined {
  const bytes = Entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
  return bytes > LARGEST_BYTES
    ? {
        code: "AWS.SimpleQueueService.BatchRequestTooLong",
        message: `Batch requests cannot be longer than ${LARGEST_BYTES} bytes. You have sent ${bytes} bytes.`,
      }
    : undefined;
}

/** The body, and of each attribute name, type and value. */
const sizeOf = ({ MessageBody = "", MessageAttributes = {} }: Message): number =>
  Object.entries(MessageAttributes).reduce(
    (sum, [name, { DataType = "", StringValue = "", BinaryValue = "" }]) =>
      sum +
      Buffer.byteLength(name + DataType + StringValue) +
      Buffer.byteLength(BinaryValue, "base64"),
    Buffer.byteLength(MessageBody),
  );
