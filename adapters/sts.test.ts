import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { create } from "xmlbuilder2";
import { z } from "zod";
import { hostQueueName } from "#adapters/sqs-names.ts";
import { createStaticHostCredentials, createStsHostCredentials } from "#adapters/sts.ts";

const REGION = "eu-central-1";
const ACCOUNT = "123456789012";
const HOST = "0198c0de-0000-7000-8000-000000000001";
const OTHER_HOST = "0198c0de-0000-7000-8000-000000000002";
const ROLE = `arn:aws:iam::${ACCOUNT}:role/berth-hosts`;
const queueUrl = (hostId: string) =>
  `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/${hostQueueName(hostId)}`;
const queueArn = (hostId: string) => `arn:aws:sqs:${REGION}:${ACCOUNT}:${hostQueueName(hostId)}`;

const EXPIRES = "2027-01-02T03:04:05Z";
const GIVEN = {
  AccessKeyId: "ASIATEST",
  SecretAccessKey: "secret",
  SessionToken: "token",
  Expiration: EXPIRES,
};

/** STS as it is on the wire: a form in, XML out. Keeps what it was asked. */
async function startSts() {
  const asked: { form: URLSearchParams; headers: IncomingHttpHeaders }[] = [];
  let answer = { status: 200, body: assumed(GIVEN) };
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push({ form: new URLSearchParams(body), headers: request.headers });
      response.writeHead(answer.status, { "content-type": "text/xml" }).end(answer.body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on TCP");
  const credentials = createStsHostCredentials({
    roleArn: ROLE,
    region: REGION,
    client: {
      endpoint: `http://127.0.0.1:${address.port}`,
      credentials: { accessKeyId: "api", secretAccessKey: "api" },
      maxAttempts: 1,
    },
  });
  return {
    asked,
    credentials,
    answerWith: (status: number, body: string) => {
      answer = { status, body };
    },
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

const xml = (object: object) => create(object).end();
const assumed = (credentials: object) =>
  xml({ AssumeRoleResponse: { AssumeRoleResult: { Credentials: credentials } } });

let sts: Awaited<ReturnType<typeof startSts>>;
beforeEach(async () => {
  sts = await startSts();
});
afterEach(() => sts.stop());

const ask = () => sts.credentials.forQueue({ hostId: HOST, queueUrl: queueUrl(HOST) });

describe("credentials for a host", () => {
  test("the role is assumed for an hour, in the host's name", async () => {
    await ask();
    expect(sts.asked.map(({ form }) => Object.fromEntries(form))).toEqual([
      {
        Action: "AssumeRole",
        Version: "2011-06-15",
        RoleArn: ROLE,
        RoleSessionName: `berth-host-${HOST}`,
        DurationSeconds: "3600",
        Policy: expect.any(String),
      },
    ]);
    // Signed for STS in this region, not for the global endpoint.
    expect(sts.asked[0]?.headers.authorization).toContain(`/${REGION}/sts/aws4_request`);
  });

  test("the host is given what STS gave, and when it ends", async () => {
    expect(await ask()).toEqual({
      region: REGION,
      accessKeyId: GIVEN.AccessKeyId,
      secretAccessKey: GIVEN.SecretAccessKey,
      sessionToken: GIVEN.SessionToken,
      expiresAt: new Date(EXPIRES),
    });
  });

  test.each(["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"] as const)(
    "an answer without %s is an outage, never credentials without a policy or an end",
    async (name) => {
      const { [name]: _, ...part } = GIVEN;
      sts.answerWith(200, assumed(part));
      await expect(ask()).rejects.toThrow("STS answered without credentials");
    },
  );

  test("an answer without any is an outage", async () => {
    sts.answerWith(200, xml({ AssumeRoleResponse: { AssumeRoleResult: {} } }));
    await expect(ask()).rejects.toThrow("STS answered without credentials");
  });

  test("a refusal of STS is thrown", async () => {
    const Error = { Type: "Sender", Code: "AccessDenied", Message: "not authorized to assume" };
    sts.answerWith(403, xml({ ErrorResponse: { Error } }));
    await expect(ask()).rejects.toMatchObject({ name: "AccessDenied" });
  });

  test.each([
    "https://example.com/",
    `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/`,
    `https://sqs.${REGION}.amazonaws.com/more/${ACCOUNT}/${hostQueueName(HOST)}`,
    `https://sqs.${REGION}.amazonaws.com/*/${hostQueueName(HOST)}`,
    `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/berth-host-*`,
  ])("no role is assumed for what is not a queue: %s", async (url) => {
    await expect(sts.credentials.forQueue({ hostId: HOST, queueUrl: url })).rejects.toThrow(
      "not a queue's URL",
    );
    expect(sts.asked).toEqual([]);
  });
});

test("where SQS knows no authorisation, credentials open nothing elsewhere, and are renewed all the same", async () => {
  const clock = { now: () => new Date("2026-03-01T12:00:00Z") };
  const fixed = createStaticHostCredentials({ clock, region: REGION });
  expect(await fixed.forQueue({ hostId: HOST, queueUrl: queueUrl(HOST) })).toEqual({
    region: REGION,
    accessKeyId: "local",
    secretAccessKey: "local",
    sessionToken: null,
    expiresAt: new Date("2026-03-01T13:00:00Z"),
  });
});

describe("the session's policy, as it was sent, evaluated", () => {
  const sent = async () => {
    await ask();
    return Policy.parse(JSON.parse(sts.asked[0]?.form.get("Policy") ?? ""));
  };

  test.each(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"])(
    "a host may %s on its own queue, and on no other host's",
    async (action) => {
      const policy = await sent();
      expect(decide(policy, action, queueArn(HOST))).toBe("allow");
      expect(decide(policy, action, queueArn(OTHER_HOST))).toBe("deny");
      expect(decide(policy, action, `${queueArn(HOST)}-more`)).toBe("deny");
      expect(decide(policy, action, queueArn(HOST).replace(REGION, "us-east-1"))).toBe("deny");
      expect(decide(policy, action, queueArn(HOST).replace(ACCOUNT, "999999999999"))).toBe("deny");
      expect(decide(policy, action, `arn:aws:sqs:${REGION}:${ACCOUNT}:berth-billing-events`)).toBe(
        "deny",
      );
    },
  );

  test.each([
    "sqs:SendMessage",
    "sqs:PurgeQueue",
    "sqs:CreateQueue",
    "sqs:DeleteQueue",
    "sqs:SetQueueAttributes",
    "sqs:AddPermission",
    "sqs:StartMessageMoveTask",
    "sts:AssumeRole",
    "secretsmanager:GetSecretValue",
    "lambda:InvokeFunction",
    "iam:PassRole",
    "s3:GetObject",
  ])("a host may not %s, not even on its own queue", async (action) => {
    const policy = await sent();
    expect(decide(policy, action, queueArn(HOST))).toBe("deny");
    expect(decide(policy, action, "*")).toBe("deny");
  });
});

describe("the evaluator that the tests above stand on", () => {
  const policy = (...Statement: z.input<typeof Policy>["Statement"]) =>
    Policy.parse({ Version: "2012-10-17", Statement });
  const allow = (Action: string | string[], Resource: string | string[]) =>
    ({ Effect: "Allow", Action, Resource }) as const;

  test("wildcards match: any run of characters, or one", () => {
    const p = policy(allow(["sqs:Get*", "SQS:receive?essage"], ["arn:*:berth-host-?", "arn:b"]));
    expect(decide(p, "sqs:GetQueueUrl", "arn:aws:berth-host-1")).toBe("allow");
    expect(decide(p, "sqs:ReceiveMessage", "arn:b")).toBe("allow");
    expect(decide(p, "sqs:GetQueueUrl", "arn:aws:berth-host-12")).toBe("deny");
    expect(decide(p, "sqs:SendMessage", "arn:b")).toBe("deny");
    expect(decide(p, "sqs:GetQueueUrl", "ARN:b")).toBe("deny");
    expect(decide(policy(allow("*", "*")), "iam:PassRole", "anything")).toBe("allow");
  });

  test("a denial wins, wherever it stands", () => {
    const deny = { Effect: "Deny", Action: "sqs:*", Resource: "arn:b" } as const;
    const p = policy(deny, allow("*", "*"), deny);
    expect(decide(p, "sqs:SendMessage", "arn:b")).toBe("deny");
    expect(decide(p, "sqs:SendMessage", "arn:c")).toBe("allow");
  });

  test("a policy with what the evaluator does not know is refused, never guessed at", () => {
    const more = { ...allow("*", "*"), Condition: { Bool: {} } };
    expect(Policy.safeParse({ Version: "2012-10-17", Statement: [more] }).success).toBe(false);
    const inverse = { Effect: "Allow", NotAction: "sqs:*", Resource: "*" };
    expect(Policy.safeParse({ Version: "2012-10-17", Statement: [inverse] }).success).toBe(false);
  });
});

const oneOrMore = z.union([z.array(z.string()), z.string().transform((one) => [one])]);
const Policy = z.strictObject({
  Version: z.literal("2012-10-17"),
  Statement: z.array(
    z.strictObject({
      Effect: z.enum(["Allow", "Deny"]),
      Action: oneOrMore,
      Resource: oneOrMore,
    }),
  ),
});

/**
 * Whether IAM would let a session do it, by this policy alone: a denial wins, and what nothing allows is denied.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
function decide(
  policy: z.infer<typeof Policy>,
  action: string,
  resource: string,
): "allow" | "deny" {
  const about = policy.Statement.filter(
    (s) =>
      s.Action.some((pattern) => matches(pattern.toLowerCase(), action.toLowerCase())) &&
      s.Resource.some((pattern) => matches(pattern, resource)),
  );
  return about.length > 0 && about.every((s) => s.Effect === "Allow") ? "allow" : "deny";
}

/** `*` is any run of characters, `?` is one, all else is itself. */
function matches(pattern: string, text: string): boolean {
  const literal = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${literal.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s").test(text);
}
