import { describe, expect, test } from "vitest";
import { createEntrance } from "#commands/entrance.ts";
import { ENTRANCE_HEADER, VIEWER_HEADER } from "#core/network/entrance-headers.ts";
import { callerAddressOf } from "#functions/caller-address.ts";

/* 4b B1: an HTTP API answers only what came through CloudFront, and takes its word for the caller's address. */

const [A, B] = ["a".repeat(40), "b".repeat(40)];
const enter = createEntrance(JSON.stringify({ a: A, b: B }));

const event = (headers: Record<string, string>) => ({
  rawPath: "/v1/orders",
  headers: { host: "x.execute-api.eu-central-1.amazonaws.com", ...headers },
  requestContext: { http: { method: "POST", sourceIp: "130.176.0.1" } },
});
const through = (sent: string, more: Record<string, string> = {}) =>
  enter(event({ [ENTRANCE_HEADER]: sent, [VIEWER_HEADER]: "192.0.2.1", ...more }));

describe("a request through CloudFront", () => {
  test.each([A, B])(
    "is let in by either of the two values (%s), and they go no further",
    (sent) => {
      const entered = through(sent);
      expect(entered).toMatchObject({
        rawPath: "/v1/orders",
        headers: { host: expect.any(String) },
      });
      expect(JSON.stringify(entered)).not.toContain(sent);
    },
  );

  test.each(["192.0.2.1", "2001:db8::7"])(
    "comes from the address that CloudFront saw (%s), whatever the client says of itself",
    (address) => {
      const entered = through(A, {
        [VIEWER_HEADER]: address,
        "x-berth-client-ip": "203.0.113.7",
        "x-forwarded-for": "203.0.113.8",
      });
      expect(callerAddressOf(new Headers(entered?.headers))).toBe(address);
    },
  );

  test("without an address that is one is not taken: nothing could be counted by it", () => {
    for (const address of ["", "unknown", "192.0.2.1, 192.0.2.2"])
      expect(through(A, { [VIEWER_HEADER]: address })).toBeUndefined();
  });
});

test.each([
  ["no secret", {}],
  ["an empty one", { [ENTRANCE_HEADER]: "" }],
  ["another one", { [ENTRANCE_HEADER]: "c".repeat(40) }],
  ["the beginning of it", { [ENTRANCE_HEADER]: A.slice(0, -1) }],
  ["more than it", { [ENTRANCE_HEADER]: `${A}a` }],
  ["both of them", { [ENTRANCE_HEADER]: `${A},${B}` }],
])("a request with %s is not let in", (_, headers: Record<string, string>) => {
  expect(enter(event({ [VIEWER_HEADER]: "192.0.2.1", ...headers }))).toBeUndefined();
});

test("an event without headers is not let in", () => {
  expect(enter({ requestContext: {} })).toBeUndefined();
});

test("a value that was not set yet opens nothing", () => {
  const oneSet = createEntrance(JSON.stringify({ a: A, b: "" }));
  const sent = (value: string) =>
    oneSet(event({ [ENTRANCE_HEADER]: value, [VIEWER_HEADER]: "192.0.2.1" }));
  expect(sent(A)).toBeDefined();
  expect(sent("")).toBeUndefined();
  for (const secret of [
    { a: "", b: "" },
    { a: "short", b: "shorter" },
  ])
    expect(() => createEntrance(JSON.stringify(secret))).toThrow("holds no value");
});

test("a request that came through no API Gateway has no address", () => {
  expect(callerAddressOf(new Headers({ "x-forwarded-for": "203.0.113.8" }))).toBeUndefined();
});
