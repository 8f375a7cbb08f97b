import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openApiWorld, type ApiWorld } from "#test/harness/api-world.ts";
import { BASE_URL } from "./account-builders.ts";

/*
 * 4b B5: a page of another site makes a browser send its cookie. Whatever it asks for, of all that the API has, changes
 * nothing: a bodiless POST erased a first password, and made a join token.
 */

let api: ApiWorld;
beforeAll(async () => {
  api = await openApiWorld();
});
afterAll(() => api.cp.drop());

const FOREIGN = [
  { origin: "https://evil.example" },
  { origin: "null" },
  { origin: `${BASE_URL}.evil.example` },
  { origin: BASE_URL.replace("http:", "https:") },
  { origin: `${BASE_URL}:81` },
  { origin: BASE_URL, "sec-fetch-site": "cross-site" },
  { "sec-fetch-site": "cross-site" },
  { "sec-fetch-site": "same-site" },
  { "sec-fetch-site": "none" },
  {},
] as const;

const send = async (method: string, path: string, headers: Record<string, string>, body?: string) =>
  api.cp.fetch(
    new Request(`${BASE_URL}${path}`, {
      method,
      headers: {
        ...headers,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body }),
    }),
  );

test("no write of a log-in is taken from a page of another site", async () => {
  const writes = api.document.operations.filter(
    ({ method, access }) =>
      method !== "GET" && (access.who === "account" || access.who === "session"),
  );
  expect(writes.length).toBeGreaterThan(20);
  const path = (text: string) =>
    text.replaceAll(
      "{id}",
      text.includes("/vms/") ? (api.there.vm[0] ?? "") : (api.there.host[0] ?? ""),
    );
  const cookies = [await api.session(), await api.session("staff")];
  // Each with each of the headers, as some customer or member of staff, with a body or without.
  for (const op of writes)
    for (const headers of FOREIGN) {
      const [cookie, body] = fc.sample(
        fc.tuple(fc.constantFrom(...cookies), fc.constantFrom(undefined, "{}")),
        1,
      )[0] ?? ["", undefined];
      const answer = await send(op.method, path(op.path), { cookie, ...headers }, body);
      const { code } = Object(await answer.json());
      expect({ op: op.id, headers, status: answer.status, code }).toMatchObject({
        status: 403,
        code: "foreign_origin",
      });
    }
});

test("nor is one of the log-in routes that are for anybody, where a cookie comes with it", async () => {
  const cookie = await api.session();
  for (const headers of FOREIGN.filter((given) => "origin" in given && given.origin !== BASE_URL)) {
    const answer = await send("POST", "/v1/auth/sign-out", { cookie, ...headers }, "{}");
    expect(answer.status).toBe(403);
  }
  expect((await send("GET", "/v1/me", { cookie })).status).toBe(200);
});

test("our own pages write, by either header; anybody's page reads what it cannot see", async () => {
  const cookie = await api.session();
  for (const headers of [
    { origin: BASE_URL },
    { origin: BASE_URL, "sec-fetch-site": "same-origin" },
    { "sec-fetch-site": "same-origin" },
  ]) {
    const asked = { cookie, ...headers };
    const vm = `/v1/vms/${api.there.vm[0]}`;
    expect((await send("PATCH", vm, asked, `{"label":"Mail"}`)).status).toBe(200);
  }
  for (const headers of FOREIGN)
    expect((await send("GET", "/v1/me", { cookie, ...headers })).status).toBe(200);
});

test("an API token is sent on purpose: it writes from wherever it is used", async () => {
  const vm = `/v1/vms/${api.there.vm[0]}`;
  const { authorization } = api.credentialsOf("customer");
  const answer = await send(
    "PATCH",
    vm,
    { authorization, origin: "https://shop.example" },
    `{"label":"Web"}`,
  );
  expect(answer.status).toBe(200);
});
