import { Hono } from "hono";
import { expect, test } from "vitest";
import { refuseForeignPages } from "./foreign-page.ts";

/* 4b B7: `/_local/clock` took a foreign Origin. */

const OWN = "http://127.0.0.1:8787";
const app = new Hono()
  .use("/_local/*", refuseForeignPages())
  .post("/_local/clock", (c) => c.text("moved"));
const asked = async (headers: Record<string, string>, at = OWN) =>
  (await app.request(`${at}/_local/clock`, { method: "POST", headers })).status;

test.each([
  [{}],
  [{ origin: OWN }],
  [{ origin: OWN, "sec-fetch-site": "same-origin" }],
  [{ "sec-fetch-site": "none" }],
])("a program of this machine, and a page of its own, are let in: %j", async (headers) => {
  expect(await asked(headers)).toBe(200);
});

test.each([
  [{ origin: "https://evil.example" }],
  [{ origin: "null" }],
  [{ origin: "http://127.0.0.1:8788" }],
  [{ "sec-fetch-site": "cross-site" }],
  [{ "sec-fetch-site": "same-site" }],
])("a page of another site is not: %j", async (headers) => {
  expect(await asked(headers)).toBe(403);
});

test("nor is one whose site has this machine's address for its own name", async () => {
  const evil = "http://evil.example:8787";
  expect(await asked({ origin: evil }, evil)).toBe(403);
  expect(await asked({}, "http://localhost:8787")).toBe(200);
  expect(await asked({}, "http://[::1]:8787")).toBe(200);
});

test("what is served under a name of its own is let in by that name", async () => {
  const named = new Hono()
    .use(refuseForeignPages("http://stripe.test"))
    .post("/x", (c) => c.text("done"));
  const ask = async (at: string) => (await named.request(`${at}/x`, { method: "POST" })).status;
  expect([
    await ask("http://stripe.test"),
    await ask("http://evil.example"),
    await ask(OWN),
  ]).toEqual([200, 403, 200]);
});
