import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AWS_KEYS as KEYS, signatureRefusal } from "#test/harness/aws-signature.ts";
import { readSecret } from "./secrets.ts";

const ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:berth/Stripe-Ab12Cd";
const VALUE = `{"apiKey":"of-the-test ü"}`;

type Answer = Readonly<{ status: number; body: string }> | "none";
const refused = (status: number, type: string): Answer => ({
  status,
  body: JSON.stringify({ __type: type, Message: "told to nobody" }),
});

let asked: { target: string; type: string; body: unknown }[];
/** What is answered before secrets are given. */
let answers: Answer[];
let server: ReturnType<typeof createServer>;
let env: Record<string, string>;
beforeEach(async () => {
  asked = [];
  answers = [];
  server = createServer((request, response) => {
    void text(request).then((body) => {
      const { headers } = request;
      const type = String(headers["content-type"]);
      asked.push({ target: String(headers["x-amz-target"]), type, body: JSON.parse(body) });
      const refusal = signatureRefusal({ service: "secretsmanager", path: "/", headers, body });
      const given: Answer = { status: 200, body: JSON.stringify({ ARN, SecretString: VALUE }) };
      const answer = refusal === undefined ? (answers.shift() ?? given) : refused(400, refusal);
      if (answer === "none") return;
      response.writeHead(answer.status, { "content-type": "application/x-amz-json-1.1" });
      response.end(answer.body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on TCP");
  env = { ...KEYS, AWS_ENDPOINT_URL: `http://127.0.0.1:${address.port}` };
});
afterEach(() => {
  vi.restoreAllMocks();
  server.closeAllConnections();
  server.close();
});

/** Reads with pauses that take no time; they are kept. */
function read(more: { answerWithinMs?: number } = {}) {
  const pauses: number[] = [];
  const pause = (milliseconds: number) => Promise.resolve(pauses.push(milliseconds));
  return { pauses, secret: readSecret(ARN, { env, pause, ...more }) };
}

test("a secret is asked for by its ARN, signed with the function's own credentials", async () => {
  expect(await read().secret).toBe(VALUE);
  expect(asked).toEqual([
    {
      target: "secretsmanager.GetSecretValue",
      type: "application/x-amz-json-1.1",
      body: { SecretId: ARN },
    },
  ]);
});

test("AWS's own client asks the same", async () => {
  const client = new SecretsManagerClient({
    endpoint: env["AWS_ENDPOINT_URL"] ?? "",
    region: KEYS.AWS_REGION,
    credentials: {
      accessKeyId: KEYS.AWS_ACCESS_KEY_ID,
      secretAccessKey: KEYS.AWS_SECRET_ACCESS_KEY,
      sessionToken: KEYS.AWS_SESSION_TOKEN,
    },
  });
  const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: ARN }));
  expect(SecretString).toBe(VALUE);
  await read().secret;
  expect(asked[0]).toEqual(asked[1]);
});

describe("credentials", () => {
  test("a key that is not the one that AWS knows is refused, at once", async () => {
    env["AWS_SECRET_ACCESS_KEY"] = "another";
    await expect(read().secret).rejects.toThrow(`secret ${ARN}: SignatureDoesNotMatch`);
    expect(asked).toHaveLength(1);
  });

  test("keys that stand for good have no session", async () => {
    delete env["AWS_SESSION_TOKEN"];
    await expect(read().secret).rejects.toThrow("UnrecognizedClientException");
  });

  test.each(["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])(
    "without %s nothing is asked",
    async (name) => {
      delete env[name];
      await expect(read().secret).rejects.toThrow(name);
      expect(asked).toEqual([]);
    },
  );
});

describe("where secrets are", () => {
  test("an endpoint of Secrets Manager's own goes before the one of all of AWS", async () => {
    env["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = env["AWS_ENDPOINT_URL"] ?? "";
    env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1";
    expect(await read().secret).toBe(VALUE);
  });

  test("what speaks no TLS where TLS should be is asked for nothing", async () => {
    env["AWS_ENDPOINT_URL"] = (env["AWS_ENDPOINT_URL"] ?? "").replace("http:", "https:");
    await expect(read().secret).rejects.toThrow(/SSL|EPROTO/);
    expect(asked).toEqual([]);
  });

  test("without one it is the region's, over TLS", async () => {
    delete env["AWS_ENDPOINT_URL"];
    env["AWS_REGION"] = "nowhere.invalid";
    await expect(read().secret).rejects.toThrow(
      /ENOTFOUND secretsmanager\.nowhere\.invalid|EAI_AGAIN secretsmanager\.nowhere\.invalid/,
    );
  });
});

describe("what passes by itself is tried three times, a little later each time", () => {
  const PASSING: [string, Answer][] = [
    ["500", refused(500, "InternalServiceError")],
    ["503 in no JSON", { status: 503, body: "<html>" }],
    ["429", refused(429, "TooManyRequestsException")],
    ["throttling", refused(400, "ThrottlingException")],
    ["throttling by its whole name", refused(400, "com.amazonaws.sm#ThrottlingException")],
    ["500 with a text", { status: 500, body: JSON.stringify({ SecretString: "not this" }) }],
  ];
  test.each(PASSING)("(%s)", async (_, answer) => {
    answers = [answer, answer];
    const { secret, pauses } = read();
    expect(await secret).toBe(VALUE);
    expect(asked).toHaveLength(3);
    expect(pauses).toHaveLength(2);
  });

  test("by chance, so that many do not come back at once: up to 200 ms, and then to 400", async () => {
    answers = [refused(500, "InternalServiceError"), refused(500, "InternalServiceError")];
    vi.spyOn(Math, "random").mockReturnValueOnce(0.75).mockReturnValueOnce(0.5);
    const { secret, pauses } = read();
    await secret;
    expect(pauses).toEqual([150, 200]);
  });

  test.each([
    ["AWS's name for it", refused(500, "InternalServiceError"), "InternalServiceError"],
    ["the status", { status: 502, body: "<html>" }, "status 502"],
  ] satisfies [string, Answer, string][])(
    "and no fourth: the error is %s",
    async (_, answer, why) => {
      answers = [answer, answer, answer];
      await expect(read().secret).rejects.toThrow(`secret ${ARN}: ${why}`);
      expect(asked).toHaveLength(3);
    },
  );

  test("no answer in time counts as one of them", async () => {
    answers = ["none"];
    const { secret, pauses } = read({ answerWithinMs: 200 });
    expect(await secret).toBe(VALUE);
    expect(pauses).toHaveLength(1);
  });

  test("nobody there, likewise", async () => {
    env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1";
    const { secret, pauses } = read();
    await expect(secret).rejects.toThrow("ECONNREFUSED");
    expect(pauses).toHaveLength(2);
  });
});

describe("what does not pass is told at once, by AWS's name for it alone", () => {
  test.each(["ResourceNotFoundException", "AccessDeniedException", "DecryptionFailure"])(
    "(%s)",
    async (type) => {
      answers = [refused(400, type)];
      await expect(read().secret).rejects.toThrow(new Error(`secret ${ARN}: ${type}`));
      expect(asked).toHaveLength(1);
    },
  );

  test.each([
    ["a secret of bytes", JSON.stringify({ ARN, SecretBinary: "AAAA" })],
    ["an answer that is no JSON", "<html>"],
  ])("%s has no text", async (_, body) => {
    answers = [{ status: 200, body }];
    await expect(read().secret).rejects.toThrow(new Error(`secret ${ARN}: has no text`));
    expect(asked).toHaveLength(1);
  });
});
