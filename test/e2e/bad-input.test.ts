import { request, type IncomingMessage } from "node:http";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { Problem } from "#core/contracts/problem.ts";
import { EXAMPLE_SSH_KEY } from "#local/client.ts";
import { aClient, anActiveVm, order } from "#test/harness/customer.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

let stack: TestStack;
let valid: Record<string, unknown>;
let owned: { orderId: string; vmId: string };
beforeAll(async () => {
  stack = await openStack();
  const Items = z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) });
  const idOf = async (list: string, name?: string) => {
    const { items } = await stack.customer.ok(Items, "GET", `/v1/${list}`);
    return items.find((i) => name === undefined || i.name === name)?.id;
  };
  valid = {
    planId: await idOf("plans", "S"),
    imageId: await idOf("images", "Debian 13"),
    locationId: await idOf("locations"),
    hostname: "web-1",
    sshKeys: [EXAMPLE_SSH_KEY],
    billingInterval: "month",
  };
  owned = await anActiveVm(stack.customer);
});
afterAll(() => stack.close());

/** Sends bytes as they are, and expects a problem document whose status and code say the same. */
async function problemOf(
  method: string,
  path: string,
  init: {
    body?: string | Uint8Array<ArrayBuffer>;
    headers?: Record<string, string>;
    token?: string;
  } = {},
) {
  const answer = await fetch(`${stack.apiUrl}${path}`, {
    method,
    redirect: "manual",
    headers: {
      authorization: `Bearer ${init.token ?? stack.tokens.customer}`,
      ...(init.body === undefined ? {} : { "content-type": "application/json" }),
      ...init.headers,
    },
    ...(init.body === undefined ? {} : { body: init.body }),
  });
  const text = await answer.text();
  expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  const problem = Problem.parse(JSON.parse(text));
  expect(problem.status).toBe(answer.status);
  expect(problem.type).toBe(`urn:berth:problem:${problem.code}`);
  return { status: problem.status, code: problem.code };
}
const bad = (code = "invalid_request") => ({ status: 400, code });
const postOrder = (body: unknown, headers: Record<string, string> = {}) =>
  problemOf("POST", "/v1/orders", {
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "idempotency-key": v7(), ...headers },
  });

describe("an order", () => {
  const ID = "0199f0a2b3c47d5e8f90a1b2c3d4e5f6";
  const BAD_NAME = { status: 422, code: "hostname_invalid" };
  const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;

  test.each([
    {
      name: "of an unknown plan",
      over: { planId: `plan_${ID}` },
      status: 404,
      code: "plan_not_found",
    },
    {
      name: "of an unknown image",
      over: { imageId: `img_${ID}` },
      status: 404,
      code: "image_not_found",
    },
    {
      name: "of an unknown place",
      over: { locationId: `loc_${ID}` },
      status: 404,
      code: "location_not_found",
    },
    {
      name: "by the hour",
      over: { billingInterval: "hour" },
      status: 422,
      code: "billing_interval_unavailable",
    },
    { name: "by the decade", over: { billingInterval: "decade" } },
    { name: "with a bad host name", over: { hostname: "web 1; reboot" }, ...BAD_NAME },
    { name: "with an emoji for a name", over: { hostname: "🚀" }, ...BAD_NAME },
    { name: "with NUL in its name", over: { hostname: "web\0" }, ...BAD_NAME },
    {
      name: "with a name that reads from right to left",
      over: { hostname: "\u202eabc" },
      ...BAD_NAME,
    },
    { name: "with an address for a name", over: { hostname: "1.2.3.4" }, ...BAD_NAME },
    {
      name: "with a name of 254 letters",
      over: { hostname: "a.".repeat(126) + "ab" },
      ...BAD_NAME,
    },
    {
      name: "without an SSH key",
      over: { sshKeys: [] },
      status: 422,
      code: "ssh_key_missing",
    },
    {
      name: "with 20 KiB of user data",
      over: { userData: "x".repeat(20_000) },
      status: 422,
      code: "user_data_too_large",
    },
    {
      name: "with a bad SSH key",
      over: { sshKeys: ["ssh-ed25519 AAAA"] },
      status: 422,
      code: "ssh_key_invalid",
    },
    {
      name: "with an SSH key of another kind than it says",
      over: { sshKeys: [EXAMPLE_SSH_KEY.replace("ssh-ed25519", "ssh-rsa")] },
      status: 422,
      code: "ssh_key_invalid",
    },
    {
      name: "with half of a second SSH key in one",
      over: { sshKeys: [`${EXAMPLE_SSH_KEY}\n${EXAMPLE_SSH_KEY.slice(0, 40)}`] },
      status: 422,
      code: "ssh_key_invalid",
    },
    {
      name: "with a bad SSH key and a bad host name",
      over: { sshKeys: ["ssh-ed25519 AAAA"], hostname: "-" },
    },
    { name: "with a number for an SSH key", over: { sshKeys: [1] } },
    { name: "with NUL in its user data", over: { userData: "#!/bin/sh\0" } },
    { name: "with a field that we do not know", over: { price: 0 } },
    { name: "with null for a name", over: { hostname: null } },
    { name: "with a list for an id", over: { planId: ["x"] } },
    { name: "with an id of another kind", over: { planId: `vm_${ID}` } },
    { name: "with SQL for an id", over: { planId: "plan_' or 1=1 --" } },
  ])("$name is refused", async ({ over, status = 400, code = "invalid_request" }) => {
    expect(await postOrder({ ...valid, ...over })).toEqual({ status, code });
  });

  test.each([
    { name: "no JSON at all", body: "{", code: "malformed_json" },
    { name: "nothing", body: "", code: "malformed_json" },
    { name: "a string", body: '"order"', code: "invalid_request" },
    { name: "a list", body: "[]", code: "invalid_request" },
    { name: "null", body: "null", code: "invalid_request" },
    { name: "ten thousand levels", body: deep(10_000), code: "invalid_request" },
    {
      name: "a prototype of its own",
      body: '{"__proto__":{"role":"staff"}}',
      code: "invalid_request",
    },
    { name: "a number past all numbers", body: '{"planId":1e999}', code: "invalid_request" },
  ])("whose body is $name is refused", async ({ body, code }) => {
    expect(await postOrder(body)).toEqual(bad(code));
  });

  test("is told which of its SSH keys is none", async () => {
    const body = { ...valid, sshKeys: [EXAMPLE_SSH_KEY, "ssh-ed25519 AAAA"] };
    const headers = { "idempotency-key": v7() };
    const answer = await stack.customer.request("POST", "/v1/orders", body, headers);
    expect(answer.body).toMatchObject({
      code: "ssh_key_invalid",
      errors: [{ path: "sshKeys.1" }],
    });
  });

  test("whose body is no UTF-8 is refused", async () => {
    const body = Uint8Array.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]);
    const headers = { "idempotency-key": v7() };
    expect(await problemOf("POST", "/v1/orders", { body, headers })).toEqual(bad());
  });

  test("without a key, or with one that is none, is refused", async () => {
    const body = JSON.stringify(valid);
    expect(await problemOf("POST", "/v1/orders", { body })).toEqual(bad("idempotency_key_missing"));
    for (const key of ["short", "x".repeat(256), "with a space"])
      expect(await postOrder(valid, { "idempotency-key": key })).toEqual(bad());
  });

  test("with a key that was used for another is refused", async () => {
    const key = v7();
    await order(stack.customer, key);
    expect(await postOrder(valid, { "idempotency-key": key })).toEqual({
      status: 422,
      code: "idempotency_key_reused",
    });
  });

  test("of more than 128 KiB is refused, however it is declared", async () => {
    const body = JSON.stringify({ ...valid, userData: "x".repeat(200 * 1024) });
    // More than once: what comes after it on the same connection is answered too.
    for (let n = 0; n < 20; n++)
      expect(await postOrder(body)).toEqual({ status: 413, code: "body_too_large" });
    // Without a length: in chunks.
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${stack.tokens.customer}`,
        "content-type": "application/json",
        "idempotency-key": v7(),
        "transfer-encoding": "chunked",
      };
      request(`${stack.apiUrl}/v1/orders`, { method: "POST", headers }, resolve)
        .once("error", reject)
        .end(body);
    });
    answer.resume();
    expect(answer.statusCode).toBe(413);
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
  ])("sent as %j is refused: forms of other sites send such", async (type) => {
    expect(await postOrder(valid, { "content-type": type })).toEqual({
      status: 415,
      code: "unsupported_media_type",
    });
  });

  test("may be sent with a charset", async () => {
    expect(await postOrder({}, { "content-type": "Application/JSON; charset=utf-8" })).toEqual(
      bad(),
    );
  });
});

describe("Stripe's deliveries", () => {
  test.each([
    { name: "unsigned", body: "{}", status: 400, code: "signature_invalid" },
    { name: "no JSON", body: "{", status: 400, code: "signature_invalid" },
  ])("that are $name are refused with a problem document", async ({ body, status, code }) => {
    const headers = { "stripe-signature": "t=1,v1=00" };
    expect(await problemOf("POST", "/webhooks/stripe", { body, headers })).toEqual({
      status,
      code,
    });
  });

  test("of more than 1 MiB are refused with a problem document", async () => {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request(`${stack.apiUrl}/webhooks/stripe`, { method: "POST", agent: false }, resolve)
        .once("error", reject)
        .end("x".repeat(1024 * 1024 + 1));
    });
    expect(answer.headers["content-type"]).toBe("application/problem+json");
    expect(answer.statusCode).toBe(413);
    answer.resume();
  });
});

describe("another customer's", () => {
  test.each([
    { method: "GET", path: () => `/v1/vms/${owned.vmId}`, code: "vm_not_found" },
    { method: "GET", path: () => `/v1/vms/${owned.vmId}/usage`, code: "vm_not_found" },
    { method: "DELETE", path: () => `/v1/vms/${owned.vmId}`, code: "vm_not_found" },
    { method: "POST", path: () => `/v1/vms/${owned.vmId}/actions`, code: "vm_not_found" },
    { method: "GET", path: () => `/v1/orders/${owned.orderId}`, code: "order_not_found" },
  ])("$method is not found ($code)", async ({ method, path, code }) => {
    const { token } = await aClient(stack, "customer");
    const body = method === "POST" ? { body: '{"type":"stop"}' } : {};
    expect(await problemOf(method, path(), { token, ...body })).toEqual({ status: 404, code });
  });
});

describe("a request that fits no route", () => {
  test.each([
    ["GET", "/nothing"],
    ["GET", "/v1"],
    ["GET", "/v1/auth/nothing"],
    ["GET", "/%00"],
    ["GET", "/v1/plans/"],
  ])("%s %s is not found", async (method, path) => {
    expect(await problemOf(method, path)).toEqual({ status: 404, code: "not_found" });
  });
});

describe("a query", () => {
  test.each([
    "/v1/vms?limit=0",
    "/v1/vms?limit=101",
    "/v1/vms?limit=99999999999999999999",
    "/v1/vms?limit=ten",
    "/v1/vms?limit=1.5",
    "/v1/vms?limit=-1",
    "/v1/vms?cursor=%00",
    "/v1/vms?cursor=%F0%9F%9A%80",
    "/v1/vms?cursor=",
    "/v1/vms?page=2",
    "/v1/vms/vm_1",
    "/v1/vms/%00",
    "/v1/orders/🚀",
    "/v1/invoices?limit=x",
    "/v1/actions/act_%27%20or%201=1",
  ])("%s is refused", async (path) => {
    expect(await problemOf("GET", path)).toEqual(bad());
  });

  test.each([
    "from=yesterday",
    "from=2026-02-30T00:00:00Z",
    "from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z",
    "from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
    "from=0000-01-01T00:00:00Z&to=0000-01-02T00:00:00Z",
    "by=second",
    "by=hour%00",
    "everything=1",
  ])("of usage with %s is refused", async (query) => {
    expect(await problemOf("GET", `/v1/vms/${owned.vmId}/usage?${query}`)).toEqual(bad());
  });

  test("with a cursor that names nothing begins at the beginning", async () => {
    const { status } = await stack.customer.request("GET", "/v1/vms?cursor=AAAA");
    expect(status).toBe(200);
  });
});

describe("what staff and owners write", () => {
  const as = (token: string) => async (path: string, body: object) =>
    problemOf("POST", path, { token, body: JSON.stringify(body) });

  test.each([
    { name: "a\0b", scopes: ["vms:read"] },
    { name: "", scopes: ["vms:read"] },
    { name: "   ", scopes: ["vms:read"] },
    { name: "half \ud800", scopes: ["vms:read"] },
    { name: "x".repeat(61), scopes: ["vms:read"] },
    { name: "ci", scopes: [] },
    { name: "ci", scopes: ["everything"] },
    { name: "ci", scopes: ["vms:read"], expiresInDays: 0 },
    { name: "ci", scopes: ["vms:read"], expiresInDays: 1e9 },
  ])("a token as %o is refused", async (body) => {
    expect(await as(stack.tokens.customer)("/v1/tokens", body)).toEqual(bad());
  });

  test.each([
    { name: "Rack 1", locationId: "loc_0199f0a2b3c47d5e8f90a1b2c3d4e5f6" },
    { name: "rack-1", locationId: "here" },
    { name: "rack-1", locationId: "loc_0199f0a2b3c47d5e8f90a1b2c3d4e5f6", cpuOvercommit: 33 },
  ])("a host as %o is refused", async (body) => {
    expect(await as(stack.tokens.staff)("/staff/v1/hosts", body)).toEqual(bad());
  });

  const PRICE = { interval: "month", amountMinor: "100", currency: "usd" };
  const PLAN = {
    name: "tiny",
    vcpus: 1,
    memoryMib: 512,
    diskGib: 10,
    trafficGib: 1,
    prices: [PRICE],
  };
  const IMAGE = {
    name: "Alpine",
    os: "linux",
    file: "alpine",
    hypervisors: ["kvm"],
    minMemoryMib: 128,
    minDiskGib: 1,
  };
  const PLACE = { name: "fsn2", city: "Falkenstein", country: "DE", nameservers: ["192.0.2.1"] };

  test.each([
    { path: "plans", valid: PLAN, over: { name: "a\0b" } },
    { path: "plans", valid: PLAN, over: { memoryMib: 2 ** 40 } },
    { path: "plans", valid: PLAN, over: { trafficGib: 2 ** 40 } },
    { path: "plans", valid: PLAN, over: { prices: [] } },
    { path: "plans", valid: PLAN, over: { prices: [PRICE, PRICE] } },
    { path: "plans", valid: PLAN, over: { prices: [{ ...PRICE, amountMinor: "0" }] } },
    { path: "plans", valid: PLAN, over: { prices: [{ ...PRICE, amountMinor: "9".repeat(30) }] } },
    { path: "images", valid: IMAGE, over: { name: "half \ud800" } },
    { path: "images", valid: IMAGE, over: { file: "../../etc/passwd" } },
    { path: "images", valid: IMAGE, over: { hypervisors: [] } },
    { path: "images", valid: IMAGE, over: { minMemoryMib: 2 ** 40 } },
    { path: "locations", valid: PLACE, over: { city: "x\0" } },
    { path: "locations", valid: PLACE, over: { country: "de" } },
    { path: "locations", valid: PLACE, over: { nameservers: ["not-an-ip"] } },
  ])("$path with $over are refused", async ({ path, valid: body, over }) => {
    const { status } = await as(stack.tokens.staff)(`/staff/v1/${path}`, { ...body, ...over });
    expect([400, 422]).toContain(status);
  });

  test("what the table above changes is accepted as it is", async () => {
    for (const [path, body] of Object.entries({ plans: PLAN, images: IMAGE, locations: PLACE }))
      expect(await stack.staff.request("POST", `/staff/v1/${path}`, body)).toMatchObject({
        status: 201,
      });
  });

  test.each([
    { cidr: "10.0.0.0/8", gateway: "10.0.0.1" },
    { cidr: "banana", gateway: "10.0.0.1" },
    { cidr: "2001:db8::/64", gateway: "2001:db8::1" },
    { cidr: "10.0.0.0/24", gateway: "10.9.0.1" },
    { cidr: "10.0.0.0/24\0", gateway: "10.0.0.1" },
  ])("a pool as %o is refused, and is no error of ours", async (body) => {
    const path = `/staff/v1/locations/${String(valid["locationId"])}/pools`;
    const { status } = await as(stack.tokens.staff)(path, body);
    expect([400, 422]).toContain(status);
  });
});

test("nothing that was refused here was an error of ours", () => {
  expect(stack.statuses.length).toBeGreaterThan(100);
  expect(stack.statuses.filter((status) => status >= 500)).toEqual([]);
  expect(stack.errors).toEqual([]);
});
