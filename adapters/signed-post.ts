import http from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { Hash } from "@smithy/core/serde";
import { SignatureV4 } from "@smithy/signature-v4";
import type { HttpRequest } from "@smithy/types";
import { z } from "zod";

/** What Lambda tells a function of itself; and where AWS is, when that is not AWS's own. */
export const Surroundings = z.object({
  AWS_REGION: z.string(),
  AWS_ACCESS_KEY_ID: z.string(),
  AWS_SECRET_ACCESS_KEY: z.string(),
  AWS_SESSION_TOKEN: z.string().optional(),
  AWS_ENDPOINT_URL: z.url().optional(),
  AWS_ENDPOINT_URL_SECRETS_MANAGER: z.url().optional(),
  AWS_ENDPOINT_URL_SESV2: z.url().optional(),
});
export type Surroundings = z.infer<typeof Surroundings>;

export type SignedPost = Readonly<{
  /** The name that it is signed for. */
  service: string;
  endpoint: string;
  path: string;
  headers: Readonly<Record<string, string>>;
  body: string;
}>;
/** `said` is the answer's text; with status 0 none came in time, and it says why. */
export type Answer = Readonly<{ status: number; said: string; errorType: string | undefined }>;

/** Posts to a service of AWS, signed by the function's own credentials at this second (ADR 0016). Never throws. */
export async function postSigned(
  post: SignedPost,
  of: Surroundings,
  withinMs: number,
): Promise<Answer> {
  return send(await signed(post, of), withinMs);
}

async function signed(post: SignedPost, of: Surroundings): Promise<HttpRequest> {
  const endpoint = new URL(post.endpoint);
  const signer = new SignatureV4({
    service: post.service,
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
    path: post.path,
    query: {},
    headers: { host: endpoint.host, ...post.headers },
    body: post.body,
  });
}

async function send(
  { protocol, hostname, port, path, method, headers, body }: HttpRequest,
  withinMs: number,
): Promise<Answer> {
  const { request } = protocol === "http:" ? http : https;
  try {
    return await new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(withinMs);
      const asked = request({ hostname, port, path, method, headers, signal }, (response) => {
        const type = response.headers["x-amzn-errortype"];
        const errorType = typeof type === "string" ? type.split(":")[0] : undefined;
        text(response).then(
          (said) => resolve({ status: response.statusCode ?? 0, said, errorType }),
          reject,
        );
      });
      asked.on("error", reject);
      asked.end(body);
    });
  } catch (error) {
    const said = error instanceof Error ? error.message : "no answer";
    return { status: 0, said, errorType: undefined };
  }
}
