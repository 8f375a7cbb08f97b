import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AWS_KEYS, signatureRefusal } from "#test/harness/aws-signature.ts";
import { createSesMail } from "./ses.ts";

const MAIL = {
  id: "mail-1",
  to: "ada@example.com",
  subject: "Grüße",
  text: "A line.\nAnother: https://a.example/#x",
  html: "<p>Größe</p>",
};

let asked: { method: string | undefined; url: string | undefined; type: unknown; body: unknown }[];
let answer: { status: number; type?: string; body?: string } | "none";
let server: ReturnType<typeof createServer>;
let env: Record<string, string>;
beforeEach(async () => {
  asked = [];
  answer = { status: 200, body: `{"MessageId":"m"}` };
  server = createServer((request, response) => {
    void text(request).then((body) => {
      const { headers, method, url } = request;
      asked.push({ method, url, type: headers["content-type"], body: JSON.parse(body) });
      const path = "/v2/email/outbound-emails";
      const refusal = signatureRefusal({ service: "ses", path, headers, body });
      if (answer === "none") return;
      const said = refusal === undefined ? answer : { status: 403, type: refusal };
      response.writeHead(
        said.status,
        said.type === undefined ? {} : { "x-amzn-errortype": said.type },
      );
      response.end(said.body ?? `{"message":"ada@example.com is told to nobody"}`);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on TCP");
  env = { ...AWS_KEYS, AWS_ENDPOINT_URL: `http://127.0.0.1:${address.port}` };
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const send = (over: Partial<Parameters<typeof createSesMail>[0]> = {}) =>
  createSesMail({ from: "berth@example.org", env, ...over }).send(MAIL);

test("a mail is one signed call of SES's SendEmail, in UTF-8", async () => {
  await send();
  expect(asked).toEqual([
    {
      method: "POST",
      url: "/v2/email/outbound-emails",
      type: "application/json",
      body: {
        FromEmailAddress: "berth@example.org",
        Destination: { ToAddresses: ["ada@example.com"] },
        EmailTags: [{ Name: "berth_mail", Value: "mail-1" }],
        Content: {
          Simple: {
            Subject: { Data: MAIL.subject, Charset: "UTF-8" },
            Body: {
              Text: { Data: MAIL.text, Charset: "UTF-8" },
              Html: { Data: MAIL.html, Charset: "UTF-8" },
            },
          },
        },
      },
    },
  ]);
});

test("a configuration set goes with it, which tells what became of it", async () => {
  await send({ configurationSet: "berth-set" });
  expect(asked).toMatchObject([{ body: { ConfigurationSetName: "berth-set" } }]);
});

test("what is signed with another key is refused, so the check of the signature is one", async () => {
  const stolen = { ...env, AWS_SECRET_ACCESS_KEY: "another" };
  await expect(send({ env: stolen })).rejects.toThrow("mail: SignatureDoesNotMatch");
});

test("a function without a session of its own signs without one", async () => {
  const { AWS_SESSION_TOKEN: _, ...without } = env;
  await expect(send({ env: without })).rejects.toThrow("mail: UnrecognizedClientException");
});

test("SES' own place comes before AWS's", async () => {
  const { AWS_ENDPOINT_URL: place = "" } = env;
  await send({
    env: { ...env, AWS_ENDPOINT_URL: "http://127.0.0.1:1", AWS_ENDPOINT_URL_SESV2: place },
  });
  expect(asked).toHaveLength(1);
});

test.each([
  [{ status: 400, type: "MessageRejected:http://amazon" }, "mail: MessageRejected"],
  [{ status: 503 }, "mail: status 503"],
])("a refusal (%j) is thrown by its name alone, and tried once", async (given, told) => {
  answer = given;
  const error = await send().catch((thrown: unknown) => thrown);
  expect(error).toEqual(new Error(told));
  expect(asked).toHaveLength(1);
});

test("no answer in time is thrown too", async () => {
  answer = "none";
  await expect(send({ answerWithinMs: 50 })).rejects.toThrow("mail: ");
});

test("without an address to be from, nothing is sent, and it says what is missing", async () => {
  await expect(send({ from: undefined })).rejects.toThrow("BERTH_MAIL_FROM is not set");
  expect(asked).toEqual([]);
});
