import { createHmac } from "node:crypto";
import { z } from "zod";
import { ENTRANCE_HEADER, VIEWER_HEADER } from "#core/network/entrance-headers.ts";
import { ENTRANCE, STRIPE_WEBHOOK_SECRET } from "./lambda-world.ts";

/** What the API's Lambda answers to API Gateway. */
export const Answer = z.object({
  statusCode: z.number(),
  cookies: z.array(z.string()).default([]),
  body: z.string().transform((body): unknown => JSON.parse(body)),
});

/** A request that came through CloudFront, as an HTTP API of API Gateway hands it on (payload version 2.0). */
export function httpEvent(
  method: string,
  rawPath: string,
  body?: object | string,
  headers: Record<string, string> = {},
) {
  const text = typeof body === "object" ? JSON.stringify(body) : body;
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath,
    rawQueryString: "",
    headers: {
      host: "x.execute-api.eu-central-1.amazonaws.com",
      [ENTRANCE_HEADER]: ENTRANCE,
      [VIEWER_HEADER]: "192.0.2.1",
      origin: "https://api.example.com",
      ...(text === undefined
        ? {}
        : {
            "content-type": "application/json",
            "content-length": String(Buffer.byteLength(text)),
          }),
      ...headers,
    },
    requestContext: {
      domainName: "x.execute-api.eu-central-1.amazonaws.com",
      http: { method, path: rawPath, protocol: "HTTP/1.1", sourceIp: "130.176.0.1" },
      stage: "$default",
    },
    ...(text === undefined ? {} : { body: text }),
    isBase64Encoded: false,
  };
}

/** A batch of one. */
export const sqsEvent = (body: string) => ({
  Records: [
    {
      messageId: "m1",
      body,
      eventSourceARN: "arn:aws:sqs:eu-central-1:123456789012:Berth-OutboxEventsQueue5E1F",
      attributes: {
        ApproximateReceiveCount: "1",
        SentTimestamp: "1790000000000",
        ApproximateFirstReceiveTimestamp: "1790000000250",
      },
    },
  ],
});

/** Stripe's signature: https://docs.stripe.com/webhooks#verify-manually */
export function signed(body: string): string {
  const at = Math.floor(Date.now() / 1000);
  const v1 = createHmac("sha256", STRIPE_WEBHOOK_SECRET).update(`${at}.${body}`).digest("hex");
  return `t=${at},v1=${v1}`;
}
