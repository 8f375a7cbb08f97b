import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { createSqsQueues } from "./sqs.ts";

/* SQS as it is on the wire: JSON in, JSON out. That SQS takes what is sent is held by `local/embedded-sqs.test.ts`. */

type Asked = Readonly<{ call: string; body: Record<string, unknown> }>;
type Answer = Readonly<{ status: number; body: object }>;

const md5 = (body: string) => createHash("md5").update(body).digest("hex");
const Batch = z.object({
  Entries: z.array(z.object({ Id: z.string(), MessageBody: z.string() })).optional(),
  MessageBody: z.string().default(""),
});
/** All of what was sent is taken, with the sums that the client checks; of a batch but the entries `but`. */
function taken(sent: string, but: readonly string[] = []): Answer {
  const { Entries = [], MessageBody } = Batch.parse(JSON.parse(sent));
  const Successful = Entries.filter(({ Id }) => !but.includes(Id)).map((entry) => ({
    Id: entry.Id,
    MessageId: entry.Id,
    MD5OfMessageBody: md5(entry.MessageBody),
  }));
  const failed = but.map((Id) => ({ Id, Code: `Code${Id}`, SenderFault: false }));
  // Of none that failed SQS says nothing.
  const Failed = failed.length === 0 ? {} : { Failed: failed };
  return {
    status: 200,
    body: { Successful, ...Failed, MessageId: "m", MD5OfMessageBody: md5(MessageBody) },
  };
}

let asked: Asked[];
/** Ids of the entries of the next batch that are not taken. */
let notTaken: string[];
let answers: Answer[];
let server: ReturnType<typeof createServer>;
let endpoint: string;
beforeEach(async () => {
  asked = [];
  answers = [];
  notTaken = [];
  server = createServer((request, response) => {
    void text(request).then((sent) => {
      const call = String(request.headers["x-amz-target"]).replace("AmazonSQS.", "");
      asked.push({ call, body: JSON.parse(sent) });
      const { status, body } = answers.shift() ?? taken(sent, notTaken);
      response.writeHead(status, { "content-type": "application/x-amz-json-1.0" });
      response.end(JSON.stringify(body));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on TCP");
  endpoint = `http://127.0.0.1:${address.port}`;
});
afterEach(() => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  server.close();
});

const PURCHASES = "https://sqs.test/1/purchases";
const BILLING = "https://sqs.test/1/billing-events";
const OUTBOX = "https://sqs.test/1/outbox-events";
const queues = () =>
  createSqsQueues({
    urls: { purchases: PURCHASES, "billing-events": BILLING, "outbox-events": OUTBOX },
    client: {
      endpoint,
      region: "eu-central-1",
      credentials: { accessKeyId: "a", secretAccessKey: "b" },
      maxAttempts: 1,
    },
  });
const MISSING = {
  status: 400,
  body: { __type: "com.amazonaws.sqs#QueueDoesNotExist", message: "no such queue" },
};

describe("sending", () => {
  it("goes to the queue that is named, ten at a time, each message as JSON under an id of its own", async () => {
    const messages = Array.from({ length: 21 }, (_, n) => ({ n }));
    await queues().send("outbox-events", messages);
    expect(asked.map(({ call }) => call)).toEqual(Array(3).fill("SendMessageBatch"));
    expect(asked.map(({ body }) => body["QueueUrl"])).toEqual(Array(3).fill(OUTBOX));
    const batches = asked.map(({ body }) => body["Entries"]);
    expect(batches).toEqual([
      Array.from({ length: 10 }, (_, n) => entry(n, n)),
      Array.from({ length: 10 }, (_, n) => entry(n, n + 10)),
      [entry(0, 20)],
    ]);
  });
  const entry = (id: number, n: number) => ({
    Id: String(id),
    MessageBody: JSON.stringify({ n }),
    DelaySeconds: 0,
  });

  it("waits as long as it is told to", async () => {
    await queues().send("billing-events", [{ a: 1 }], { delaySeconds: 77 });
    expect(asked[0]?.body).toMatchObject({
      QueueUrl: BILLING,
      Entries: [{ MessageBody: '{"a":1}', DelaySeconds: 77 }],
    });
  });

  it("of nothing asks nothing", async () => {
    await queues().send("billing-events", []);
    expect(asked).toEqual([]);
  });

  it("throws when a part of a batch was not taken, which SQS answers with 200", async () => {
    notTaken = ["1", "2"];
    await expect(queues().send("billing-events", [1, 2, 3])).rejects.toThrow(
      "2 messages to billing-events failed: Code1",
    );
  });

  it("throws what SQS refuses", async () => {
    answers = [MISSING];
    await expect(queues().send("billing-events", [1])).rejects.toThrow("no such queue");
  });
});

describe("a doorbell", () => {
  it("rings the queue at its URL, with ids and a generation", async () => {
    const body = JSON.stringify({ hostId: "h-1", generation: 7 });
    await queues().ring("https://sqs.test/1/berth-host-h-1", { hostId: "h-1", generation: 7 });
    expect(asked).toMatchObject([
      {
        call: "SendMessage",
        body: { QueueUrl: "https://sqs.test/1/berth-host-h-1", MessageBody: body },
      },
    ]);
  });
});

describe("a host's queue", () => {
  it("that is there is found by its name, and nothing is made", async () => {
    answers = [{ status: 200, body: { QueueUrl: "http://elsewhere.test/9/berth-host-h-1" } }];
    // An SQS at an endpoint of its own may name queues by hosts that do not resolve.
    expect(await queues().ensureHostQueue("h-1")).toBe(`${endpoint}/9/berth-host-h-1`);
    expect(asked).toEqual([{ call: "GetQueueUrl", body: { QueueName: "berth-host-h-1" } }]);
  });

  it("has the URL that SQS says, where SQS is AWS's own", async () => {
    // As a Lambda finds it: by its surroundings.
    vi.stubEnv("AWS_ENDPOINT_URL_SQS", endpoint);
    vi.stubEnv("AWS_REGION", "eu-central-1");
    vi.stubEnv("AWS_ACCESS_KEY_ID", "a");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "b");
    const found = "https://sqs.eu-central-1.amazonaws.com/9/berth-host-h-1";
    const own = createSqsQueues({
      urls: { purchases: PURCHASES, "billing-events": BILLING, "outbox-events": OUTBOX },
    });
    answers = [{ status: 200, body: { QueueUrl: found } }];
    expect(await own.ensureHostQueue("h-1")).toBe(found);
    answers = [MISSING, { status: 200, body: { QueueUrl: found } }];
    expect(await own.ensureHostQueue("h-1")).toBe(found);
  });

  it("that is found without a URL is made, which gives it", async () => {
    const made = { status: 200, body: { QueueUrl: "http://x.test/9/berth-host-h-4" } };
    answers = [{ status: 200, body: {} }, made];
    expect(await queues().ensureHostQueue("h-4")).toBe(`${endpoint}/9/berth-host-h-4`);
    expect(asked.map(({ call }) => call)).toEqual(["GetQueueUrl", "CreateQueue"]);
  });

  it("that is not is made: doorbells are kept an hour, held for 30 s, and encrypted", async () => {
    answers = [MISSING, { status: 200, body: { QueueUrl: "http://x.test/9/berth-host-h-2" } }];
    expect(await queues().ensureHostQueue("h-2")).toBe(`${endpoint}/9/berth-host-h-2`);
    expect(asked[1]).toEqual({
      call: "CreateQueue",
      body: {
        QueueName: "berth-host-h-2",
        Attributes: {
          MessageRetentionPeriod: "3600",
          VisibilityTimeout: "30",
          ReceiveMessageWaitTimeSeconds: "20",
          SqsManagedSseEnabled: "true",
        },
      },
    });
  });

  it("is not made when it could not be asked for, and an answer without a URL is none", async () => {
    answers = [{ status: 403, body: { __type: "AccessDenied", message: "not yours" } }];
    await expect(queues().ensureHostQueue("h-3")).rejects.toThrow("not yours");
    expect(asked).toHaveLength(1);
    answers = [MISSING, { status: 200, body: {} }];
    await expect(queues().ensureHostQueue("h-3")).rejects.toThrow("gave no URL");
  });
});
