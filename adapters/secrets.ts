import http from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Hash } from "@smithy/core/serde";
import { SignatureV4 } from "@smithy/signature-v4";
import type { HttpRequest } from "@smithy/types";
import { z } from "zod";

/** As AWS's own client. All of them, none of which is answered, end well before API Gateway gives up (29 s). */
const TRIES = 3;
const ANSWER_WITHIN_MS = 5_000;

/** What Lambda tells a function of itself; and where AWS is, when that is not AWS's own. */
const Surroundings = z.object({
  AWS_REGION: z.string(),
  AWS_ACCESS_KEY_ID: z.string(),
  AWS_SECRET_ACCESS_KEY: z.string(),
  AWS_SESSION_TOKEN: z.string().optional(),
  AWS_ENDPOINT_URL: z.url().optional(),
  AWS_ENDPOINT_URL_SECRETS_MANAGER: z.url().optional(),
});
type Surroundings = z.infer<typeof Surroundings>;
const Answer = z.object({ SecretString: z.string().optional(), __type: z.string().optional() });

/**
 * Reads a secret's text from AWS Secrets Manager. Throws what AWS calls the error, and nothing else of the answer.
 *
 * It is one signed POST, and the first thing that every cold start does: AWS's client for it was half of what a
 * Lambda took to load, so only AWS's signer is used (ADR 0016).
 */
export async function readSecret(
  arn: string,
  how: {
    env?: Readonly<Record<string, string | undefined>>;
    /** Between tries, in milliseconds. */
    pause?: (milliseconds: number) => Promise<unknown>;
    answerWithinMs?: number;
  } = {},
): Promise<string> {
  const surroundings = Surroundings.parse(how.env ?? process.env);
  for (let tried = 1; ; tried++) {
    // Signed anew each time: a signature is of its second.
    const request = await signed(JSON.stringify({ SecretId: arn }), surroundings);
    const { status, answer } = await send(request, how.answerWithinMs ?? ANSWER_WITHIN_MS);
    if (status === 200 && answer?.SecretString !== undefined) return answer.SecretString;
    const why = status === 200 ? "has no text" : (answer?.__type ?? `status ${status}`);
    if (tried === TRIES || !passesByItself(status, why)) throw new Error(`secret ${arn}: ${why}`);
    await (how.pause ?? sleep)(Math.random() * 100 * 2 ** tried);
  }
}

/** No answer has the status 0. */
const passesByItself = (status: number, why: string) =>
  status === 0 || status === 429 || status >= 500 || why.endsWith("ThrottlingException");

async function signed(body: string, of: Surroundings): Promise<HttpRequest> {
  // Of AWS's partitions, `aws`: as the ARNs of `sts.ts`.
  const endpoint = new URL(
    of.AWS_ENDPOINT_URL_SECRETS_MANAGER ??
      of.AWS_ENDPOINT_URL ??
      `https://secretsmanager.${of.AWS_REGION}.amazonaws.com`,
  );
  const signer = new SignatureV4({
    service: "secretsmanager",
    region: of.AWS_REGION,
    sha256: Hash.bind(null, "sha256"),
    credentials: {
      accessKeyId: of.AWS_ACCESS_KEY_ID,
      secretAccessKey: of.AWS_SECRET_ACCESS_KEY,
      ...(of.AWS_SESSION_TOKEN !== undefined && { sessionToken: of.AWS_SESSION_TOKEN }),
    },
  });
  return signer.sign({
    method: "POST",
    protocol: endpoint.protocol,
    hostname: endpoint.hostname,
    ...(endpoint.port !== "" && { port: Number(endpoint.port) }),
    path: "/",
    query: {},
    headers: {
      host: endpoint.host,
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": "secretsmanager.GetSecretValue",
    },
    body,
  });
}

/** The answer, undefined where it is not one of Secrets Manager's; status 0 and why, where none came in time. */
async function send(
  { protocol, hostname, port, path, method, headers, body }: HttpRequest,
  withinMs: number,
): Promise<{ status: number; answer: z.infer<typeof Answer> | undefined }> {
  const { request } = protocol === "http:" ? http : https;
  try {
    return await new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(withinMs);
      const asked = request({ hostname, port, path, method, headers, signal }, (response) => {
        text(response).then(
          (said) => resolve({ status: response.statusCode ?? 0, answer: answerIn(said) }),
          reject,
        );
      });
      asked.on("error", reject);
      asked.end(body);
    });
  } catch (error) {
    return { status: 0, answer: { __type: error instanceof Error ? error.message : "no answer" } };
  }
}

function answerIn(said: string): z.infer<typeof Answer> | undefined {
  try {
    return Answer.safeParse(JSON.parse(said)).data;
  } catch {
    return undefined;
  }
}
