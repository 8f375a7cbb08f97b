import type { LambdaEvent } from "hono/aws-lambda";
import { expect, test } from "vitest";
import { z } from "zod";
import { callerAddressOf, withCallerAddress } from "#functions/caller-address.ts";

const Event = z.custom<LambdaEvent>();

// 4b A2
test("the caller's address is the one that API Gateway saw, whatever the client says of itself", () => {
  const said = { "x-berth-client-ip": "203.0.113.7", "x-forwarded-for": "203.0.113.8" };
  const http = { method: "POST", path: "/v1/orders", sourceIp: "192.0.2.1" };
  const event = withCallerAddress(Event.parse({ headers: said, requestContext: { http } }));
  const headers = Object.entries(event.headers ?? {}).map(([name, value]) => [name, String(value)]);
  expect(callerAddressOf(new Headers(Object.fromEntries(headers)))).toBe("192.0.2.1");
});

test("a request that came through no API Gateway has none", () => {
  expect(callerAddressOf(new Headers({ "x-forwarded-for": "203.0.113.8" }))).toBeUndefined();
});
