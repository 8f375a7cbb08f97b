import { createHash, createHmac } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** The credentials of a function that a test makes up. */
export const AWS_KEYS = {
  AWS_REGION: "eu-central-1",
  AWS_ACCESS_KEY_ID: "ASIATESTTESTTEST",
  AWS_SECRET_ACCESS_KEY: "Key/Of+The/Test",
  AWS_SESSION_TOKEN: "session+token/of=the=test",
};

/** Refuses what is not signed as "AWS Signature Version 4" says; its own clients are held to the same. */
export function signatureRefusal(request: {
  service: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}): string | undefined {
  const { headers, body } = request;
  const [, id, day, region, service, names = "", signature] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? "",
    ) ?? [];
  const sha256 = (said: string) => createHash("sha256").update(said).digest("hex");
  const hmac = (key: string | Buffer, said: string) =>
    createHmac("sha256", key).update(said).digest();
  const signed = names.split(";");
  if (id !== AWS_KEYS.AWS_ACCESS_KEY_ID) return "UnrecognizedClientException";
  if (headers["x-amz-security-token"] !== AWS_KEYS.AWS_SESSION_TOKEN)
    return "UnrecognizedClientException";
  const must = ["host", "x-amz-date", "x-amz-security-token", "content-type", "x-amz-target"];
  if (!must.every((name) => signed.includes(name) || headers[name] === undefined))
    return "SignatureDoesNotMatch";
  const asked = [
    `POST\n${request.path}\n`,
    ...signed.map((name) => `${name}:${String(headers[name]).trim()}`),
    `\n${names}\n${sha256(body)}`,
  ].join("\n");
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = `AWS4-HMAC-SHA256\n${String(headers["x-amz-date"])}\n${scope}\n${sha256(asked)}`;
  const key = [day ?? "", AWS_KEYS.AWS_REGION, request.service, "aws4_request"].reduce<
    string | Buffer
  >(hmac, `AWS4${AWS_KEYS.AWS_SECRET_ACCESS_KEY}`);
  return hmac(key, toSign).toString("hex") === signature ? undefined : "SignatureDoesNotMatch";
}
