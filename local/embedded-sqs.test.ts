import {
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSServiceException,
  type MessageAttributeValue,
  type SendMessageBatchRequestEntry,
} from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startEmbeddedSqs, type EmbeddedSqs } from "./embedded-sqs.ts";
import { freePort } from "./free-port.ts";

let sqs: EmbeddedSqs;
let QueueUrl: string;
beforeAll(async () => {
  sqs = await startEmbeddedSqs(await freePort());
  QueueUrl = sqs.urls["billing-events"];
});
afterAll(() => sqs.stop());

const MIB = 1024 * 1024;
const say = (over: Partial<ConstructorParameters<typeof SendMessageCommand>[0]>) => () =>
  sqs.client.send(new SendMessageCommand({ QueueUrl, MessageBody: "x", ...over }));
const sayAll = (Entries: SendMessageBatchRequestEntry[]) => () =>
  sqs.client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
const hear = (over: Partial<ConstructorParameters<typeof ReceiveMessageCommand>[0]>) => () =>
  sqs.client.send(new ReceiveMessageCommand({ QueueUrl, VisibilityTimeout: 0, ...over }));
const make =
  (QueueName: string, Attributes: Record<string, string> = {}) =>
  () =>
    sqs.client.send(new CreateQueueCommand({ QueueName, Attributes }));
const set = (Attributes: Record<string, string>) => () =>
  sqs.client.send(
    new SetQueueAttributesCommand({ QueueUrl: sqs.urls["outbox-events"], Attributes }),
  );
const hide = (VisibilityTimeout: number) => () =>
  sqs.client.send(
    new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle: "none", VisibilityTimeout }),
  );
const forget = (Ids: string[]) => () =>
  sqs.client.send(
    new DeleteMessageBatchCommand({
      QueueUrl,
      Entries: Ids.map((Id) => ({ Id, ReceiptHandle: "none" })),
    }),
  );
const entries = (count: number, over: Partial<SendMessageBatchRequestEntry> = {}) =>
  Array.from({ length: count }, (_, n) => ({ Id: `e-${n}`, MessageBody: "x", ...over }));
const withAttributes = (all: [string, MessageAttributeValue][]) =>
  say({ MessageAttributes: Object.fromEntries(all) });
const a: MessageAttributeValue = { DataType: "String", StringValue: "v" };
const attributes = (count: number) =>
  Array.from({ length: count }, (_, n): [string, MessageAttributeValue] => [`a${n}`, a]);

type Call = () => Promise<unknown>;
const INVALID = "InvalidParameterValue";
const BATCH = "AWS.SimpleQueueService.";
const NAME = /^Can only include alphanumeric characters, hyphens, or underscores/;

const REFUSED: { name: string; call: Call; code: string; message: RegExp }[] = [
  {
    name: "a delay of 901 s",
    call: say({ DelaySeconds: 901 }),
    code: INVALID,
    message:
      /^Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.$/,
  },
  {
    name: "a delay before now",
    call: say({ DelaySeconds: -1 }),
    code: INVALID,
    message: /^Value -1 for parameter DelaySeconds/,
  },
  {
    name: "a delay of half a second",
    call: say({ DelaySeconds: 0.5 }),
    code: "SerializationException",
    message: /DelaySeconds/,
  },
  {
    name: "no text",
    call: say({ MessageBody: "" }),
    code: "MissingParameter",
    message: /^The request must contain the parameter MessageBody.$/,
  },
  {
    name: "a control character",
    call: say({ MessageBody: "\u0000" }),
    code: "InvalidMessageContents",
    message: /^Invalid characters found/,
  },
  {
    name: "a message of more than 1 MiB",
    call: say({ MessageBody: "x".repeat(MIB + 1) }),
    code: INVALID,
    message: /Message must be shorter than 1048576 bytes.$/,
  },
  {
    name: "a message of more than 1 MiB with its attributes",
    call: say({ MessageBody: "x".repeat(MIB - 7), MessageAttributes: { a } }),
    code: INVALID,
    message: /shorter than 1048576/,
  },
  {
    name: "eleven attributes",
    call: withAttributes(attributes(11)),
    code: INVALID,
    message: /^Number of message attributes \[11\] exceeds the allowed maximum \[10\].$/,
  },
  {
    name: "an attribute's name with a blank",
    call: withAttributes([["a b", a]]),
    code: INVALID,
    message: /name 'a b' is invalid/,
  },
  {
    name: "an attribute's name that AWS keeps",
    call: withAttributes([["AWS.x", a]]),
    code: INVALID,
    message: /name 'AWS.x' is invalid/,
  },
  {
    name: "an attribute's name of 257 characters",
    call: withAttributes([["n".repeat(257), a]]),
    code: INVALID,
    message: /is invalid/,
  },
  {
    name: "an attribute of no type",
    call: withAttributes([["a", { ...a, DataType: "Text" }]]),
    code: INVALID,
    message: /set of supported type prefixes/,
  },
  {
    name: "an attribute of no value",
    call: withAttributes([["a", { ...a, StringValue: "" }]]),
    code: INVALID,
    message: /must contain non-empty/,
  },

  {
    name: "a queue's name of 81 characters",
    call: make("q".repeat(81)),
    code: INVALID,
    message: NAME,
  },
  { name: "a queue's name with a dot", call: make("berth.host"), code: INVALID, message: NAME },
  {
    name: "a queue's name with a letter beyond ASCII",
    call: make("köln"),
    code: INVALID,
    message: NAME,
  },
  {
    name: "a queue's name that ends in .fifo and is none",
    call: make("q.fifo"),
    code: INVALID,
    message: NAME,
  },
  {
    name: "a FIFO queue's name of 81 characters",
    call: make(`${"q".repeat(76)}.fifo`, { FifoQueue: "true" }),
    code: INVALID,
    message: NAME,
  },
  {
    name: "an attribute that queues do not have",
    call: make("q", { Colour: "red" }),
    code: "InvalidAttributeName",
    message: /^Unknown Attribute Colour.$/,
  },
  {
    name: "an attribute that queues do not have, later",
    call: set({ Colour: "red" }),
    code: "InvalidAttributeName",
    message: /^Unknown Attribute Colour.$/,
  },
  ...[
    ["DelaySeconds", "901"],
    ["VisibilityTimeout", "43201"],
    ["MessageRetentionPeriod", "59"],
    ["MessageRetentionPeriod", "1209601"],
    ["MaximumMessageSize", "1023"],
    ["MaximumMessageSize", String(MIB + 1)],
    ["ReceiveMessageWaitTimeSeconds", "21"],
    ["SqsManagedSseEnabled", "yes"],
    ["KmsDataKeyReusePeriodSeconds", "59"],
    ["DelaySeconds", "1e2"],
    ["FifoQueue", "false"],
  ].flatMap(([attribute = "", value = ""]) =>
    [make("q", { [attribute]: value }), set({ [attribute]: value })].map((call, n) => ({
      name: `a queue's ${attribute} of ${value}, ${n === 0 ? "when it is made" : "later"}`,
      call,
      code: "InvalidAttributeValue",
      message: new RegExp(`^Invalid value for the parameter ${attribute}`),
    })),
  ),

  {
    name: "to give no messages",
    call: hear({ MaxNumberOfMessages: 0 }),
    code: INVALID,
    message:
      /^Value 0 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.$/,
  },
  {
    name: "to give eleven messages",
    call: hear({ MaxNumberOfMessages: 11 }),
    code: INVALID,
    message: /^Value 11 for parameter MaxNumberOfMessages/,
  },
  {
    name: "to wait 21 s",
    call: hear({ WaitTimeSeconds: 21 }),
    code: INVALID,
    message:
      /^Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.$/,
  },
  {
    name: "to hide for more than 12 hours what it gives",
    call: hear({ VisibilityTimeout: 43_201 }),
    code: INVALID,
    message: /^Value 43201 for parameter VisibilityTimeout/,
  },
  {
    name: "to hide a message for more than 12 hours",
    call: hide(43_201),
    code: INVALID,
    message: /^Value 43201 for parameter VisibilityTimeout/,
  },
  {
    name: "to hide a message until before now",
    call: hide(-1),
    code: INVALID,
    message: /^Value -1 for parameter VisibilityTimeout/,
  },

  {
    name: "a batch of none",
    call: sayAll([]),
    code: `${BATCH}EmptyBatchRequest`,
    message: /at least one SendMessageBatchRequestEntry/,
  },
  {
    name: "a batch of eleven",
    call: sayAll(entries(11)),
    code: `${BATCH}TooManyEntriesInBatchRequest`,
    message: /^Maximum number of entries per request are 10. You have sent 11.$/,
  },
  {
    name: "two entries of one id",
    call: sayAll(entries(2, { Id: "a" })),
    code: `${BATCH}BatchEntryIdsNotDistinct`,
    message: /^Id a repeated.$/,
  },
  {
    name: "an entry's id of 81 characters",
    call: sayAll(entries(1, { Id: "i".repeat(81) })),
    code: `${BATCH}InvalidBatchEntryId`,
    message: /at most 80 letters long/,
  },
  {
    name: "an entry's id with a colon",
    call: sayAll(entries(1, { Id: "a:b" })),
    code: `${BATCH}InvalidBatchEntryId`,
    message: /at most 80 letters long/,
  },
  {
    name: "a batch of more than 1 MiB",
    call: sayAll(
      entries(2, { MessageBody: "x".repeat(MIB / 2 + 1) }).map((e, n) => ({ ...e, Id: `${n}` })),
    ),
    code: `${BATCH}BatchRequestTooLong`,
    message: /^Batch requests cannot be longer than 1048576 bytes. You have sent 1048578 bytes.$/,
  },
  {
    name: "to delete none",
    call: forget([]),
    code: `${BATCH}EmptyBatchRequest`,
    message: /DeleteMessageBatchRequestEntry/,
  },
  {
    name: "to delete eleven",
    call: forget(Array.from({ length: 11 }, (_, n) => `${n}`)),
    code: `${BATCH}TooManyEntriesInBatchRequest`,
    message: /You have sent 11/,
  },
  {
    name: "to delete by one id twice",
    call: forget(["a", "a"]),
    code: `${BATCH}BatchEntryIdsNotDistinct`,
    message: /^Id a repeated.$/,
  },
  {
    name: "a queue that is not there",
    call: say({ QueueUrl: "http://127.0.0.1/000000000000/none" }),
    code: `${BATCH}NonExistentQueue`,
    message: /does not exist/,
  },
];

test.each(REFUSED)("refuses $name, as SQS does", async ({ call, code, message }) => {
  const error = await call().then(
    () => new Error("it was taken"),
    (error: unknown) => error,
  );
  if (!(error instanceof SQSServiceException)) throw error;
  expect(error.$metadata.httpStatusCode).toBe(400);
  expect(error).toMatchObject({ Code: code, Error: { Type: "Sender" } });
  expect(error.message).toMatch(message);
});

const TAKEN: { name: string; call: Call }[] = [
  { name: "a delay of 900 s", call: say({ DelaySeconds: 900 }) },
  { name: "a message of 1 MiB", call: say({ MessageBody: "x".repeat(MIB) }) },
  {
    name: "a message of 1 MiB with its attributes",
    call: say({ MessageBody: "x".repeat(MIB - 8), MessageAttributes: { a } }),
  },
  { name: "ten attributes", call: withAttributes(attributes(10)) },
  { name: "an attribute's name of 256 characters", call: withAttributes([["n".repeat(256), a]]) },
  {
    name: "a number and bytes as attributes",
    call: withAttributes([
      ["n.1", { DataType: "Number.int", StringValue: "1" }],
      ["b", { DataType: "Binary", BinaryValue: Buffer.from("b") }],
    ]),
  },
  { name: "a queue's name of 80 characters", call: make("Q_-9".repeat(20)) },
  {
    name: "a FIFO queue's name of 80 characters",
    call: make(`${"q".repeat(75)}.fifo`, { FifoQueue: "true" }),
  },
  {
    name: "attributes at their limits",
    call: set({
      DelaySeconds: "900",
      VisibilityTimeout: "43200",
      MessageRetentionPeriod: "1209600",
      MaximumMessageSize: "1024",
      ReceiveMessageWaitTimeSeconds: "20",
    }),
  },
  {
    name: "ten messages to give",
    call: hear({ MaxNumberOfMessages: 10, VisibilityTimeout: 43_200 }),
  },
  {
    name: "a batch of ten, ids of 80 characters",
    call: sayAll(entries(10).map((e, n) => ({ ...e, Id: `${n}`.padEnd(80, "_") }))),
  },
  { name: "ten to delete", call: forget(Array.from({ length: 10 }, (_, n) => `${n}`)) },
];

test.each(TAKEN)("takes $name", async ({ call }) => {
  expect(await call()).toMatchObject({ $metadata: { httpStatusCode: 200 } });
});

describe("of a batch", () => {
  test("only the entries that SQS refuses fail, and the others are sent", async () => {
    const queue = (await sqs.client.send(new CreateQueueCommand({ QueueName: "batches" })))
      .QueueUrl;
    const Entries = [
      { Id: "good", MessageBody: "good" },
      { Id: "late", MessageBody: "late", DelaySeconds: 901 },
      { Id: "empty", MessageBody: "" },
    ];
    const answer = await sqs.client.send(new SendMessageBatchCommand({ QueueUrl: queue, Entries }));
    expect(answer.Successful?.map((e) => e.Id)).toEqual(["good"]);
    expect(answer.Failed).toMatchObject([
      {
        Id: "late",
        SenderFault: true,
        Code: INVALID,
        Message: expect.stringMatching(/^Value 901/),
      },
      { Id: "empty", SenderFault: true, Code: "MissingParameter" },
    ]);
    const heard = await sqs.client.send(
      new ReceiveMessageCommand({ QueueUrl: queue, MaxNumberOfMessages: 10 }),
    );
    expect(heard.Messages?.map((m) => m.Body)).toEqual(["good"]);
  });

  test("all may fail", async () => {
    const answer = await sqs.client.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl,
        Entries: [{ Id: "a", ReceiptHandle: "none", VisibilityTimeout: 43_201 }],
      }),
    );
    expect(answer).toMatchObject({ Successful: [], Failed: [{ Id: "a", Code: INVALID }] });
  });
});
