import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { StackClient } from "#local/client.ts";
import { anActiveVm, ended } from "#test/harness/customer.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

let stack: TestStack;
let vmId: string;
beforeAll(async () => {
  stack = await openStack();
  ({ vmId } = await anActiveVm(stack.customer));
});
afterAll(() => stack.close());

const post = (client: StackClient, path: string, body: unknown, key?: string) =>
  client.request("POST", path, body, key === undefined ? {} : { "idempotency-key": key });
const Requested = z.object({
  status: z.literal(202),
  body: z.object({ action: z.object({ id: z.string() }) }),
});
const Items = z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) });
const REUSED = { status: 422, body: { code: "idempotency_key_reused" } };
const SHOWN = { status: 409, body: { code: "secret_shown_once" } };

describe("an action that is asked for again because its answer got lost", () => {
  const reboot = async (key?: string) =>
    Requested.parse(await post(stack.customer, `/v1/vms/${vmId}/actions`, { type: "reboot" }, key))
      .body.action.id;

  test("is not done twice, though the first one has ended", async () => {
    const key = v7();
    const first = await post(stack.customer, `/v1/vms/${vmId}/actions`, { type: "reboot" }, key);
    const { id } = Requested.parse(first).body.action;
    expect(await ended(stack.customer, id)).toMatchObject({ status: "success" });
    const again = await post(stack.customer, `/v1/vms/${vmId}/actions`, { type: "reboot" }, key);
    expect(again).toEqual(first);
    const other = await reboot();
    expect(other).not.toBe(id);
    await ended(stack.customer, other);
  });

  test("is one action however many requests come at once", async () => {
    const key = v7();
    const asked = await Promise.all(Array.from({ length: 5 }, () => reboot(key)));
    expect(new Set(asked).size).toBe(1);
    await ended(stack.customer, asked[0] ?? "");
  });

  test("is refused when the key was for something else: another body, VM, or order", async () => {
    const key = v7();
    await ended(stack.customer, await reboot(key));
    const path = `/v1/vms/${vmId}/actions`;
    expect(await post(stack.customer, path, { type: "stop" }, key)).toMatchObject(REUSED);
    const body = { name: "ci", scopes: ["vms:read"] };
    expect(await post(stack.customer, "/v1/tokens", body, key)).toMatchObject(REUSED);
    // Another account's key of the same letters is another key.
    const ofStaff = await post(stack.staff, path, { type: "reboot" }, key);
    await ended(stack.customer, Requested.parse(ofStaff).body.action.id);
  });

  test("leaves its key unused when it is refused", async () => {
    const key = v7();
    const path = `/v1/vms/vm_${"0".repeat(32)}/actions`;
    const missing = { status: 404, body: { code: "vm_not_found" } };
    expect(await post(stack.customer, path, { type: "reboot" }, key)).toMatchObject(missing);
    expect(await post(stack.customer, path, { type: "reboot" }, key)).toMatchObject(missing);
    await ended(stack.customer, await reboot(key));
  });

  test("is refused with a key that is none", async () => {
    expect(
      await post(stack.customer, `/v1/vms/${vmId}/actions`, { type: "reboot" }, "short"),
    ).toMatchObject({ status: 400, body: { code: "invalid_request" } });
  });
});

test("an action says which steps it went through, and when", async () => {
  const path = `/v1/vms/${vmId}/actions`;
  const asked = await post(stack.customer, path, { type: "reset" });
  const { id } = Requested.parse(asked).body.action;
  expect(asked.body).toMatchObject({
    action: { progress: 0, steps: [{ name: "request" }, { name: "carry_out", status: "running" }] },
  });
  await ended(stack.customer, id);
  const { body } = await stack.customer.request("GET", `/v1/actions/${id}`);
  const { startedAt, finishedAt } = z
    .object({ startedAt: z.string(), finishedAt: z.string() })
    .parse(body);
  expect(body).toMatchObject({
    progress: 100,
    steps: [
      { name: "request", status: "success", startedAt, finishedAt: startedAt },
      { name: "carry_out", status: "success", startedAt, finishedAt },
    ],
  });
});

describe("what holds a secret", () => {
  test("a token is made once for a key, and its secret is neither shown again nor stored", async () => {
    const key = v7();
    const body = { name: key, scopes: ["vms:read"] };
    const first = await post(stack.customer, "/v1/tokens", body, key);
    expect(first.status).toBe(201);
    expect(await post(stack.customer, "/v1/tokens", body, key)).toMatchObject(SHOWN);
    expect(await post(stack.customer, "/v1/tokens", { ...body, name: "b" }, key)).toMatchObject(
      REUSED,
    );
    const { items } = await stack.customer.ok(Items, "GET", "/v1/tokens?limit=100");
    expect(items.filter((t) => t.name === key)).toHaveLength(1);
  });

  test("of two requests for a token at once one is answered with it", async () => {
    const key = v7();
    const body = { name: key, scopes: ["vms:read"] };
    const answers = await Promise.all(
      [1, 2].map(() => post(stack.customer, "/v1/tokens", body, key)),
    );
    expect(new Set(answers.map((a) => a.status))).toEqual(new Set([201, 409]));
  });

  test("a host is added once for a key; the repeat names it, and another token can be had", async () => {
    const key = v7();
    const { items } = await stack.staff.ok(Items, "GET", "/v1/locations");
    const body = { name: `host-${key}`, locationId: items[0]?.id };
    const first = await post(stack.staff, "/staff/v1/hosts", body, key);
    const { host } = z.object({ host: z.object({ id: z.string() }) }).parse(first.body);
    const again = await post(stack.staff, "/staff/v1/hosts", body, key);
    expect(again).toMatchObject(SHOWN);
    expect(JSON.stringify(again)).toContain(host.id);

    const path = `/staff/v1/hosts/${host.id}/join-tokens`;
    const another = v7();
    expect(await post(stack.staff, path, undefined, another)).toMatchObject({ status: 201 });
    expect(await post(stack.staff, path, undefined, another)).toMatchObject(SHOWN);
    expect(await post(stack.staff, path, undefined, v7())).toMatchObject({ status: 201 });
  });
});

describe("what staff add", () => {
  test("is added once for a key, and answered the same each time", async () => {
    const name = v7().slice(-12);
    const price = { interval: "month", amountMinor: "100", currency: "usd" };
    const size = { vcpus: 1, memoryMib: 512, diskGib: 10 };
    const { items } = await stack.staff.ok(Items, "GET", "/v1/locations");
    const all = {
      plans: { name, ...size, trafficGib: 1, prices: [price] },
      images: {
        name,
        os: "linux",
        file: "alpine",
        hypervisors: ["kvm"],
        minMemoryMib: 128,
        minDiskGib: 1,
      },
      locations: { name, city: "Falkenstein", country: "DE", nameservers: ["192.0.2.1"] },
      [`locations/${items[0]?.id}/pools`]: { cidr: "198.18.7.0/28", gateway: "198.18.7.1" },
    };
    for (const [path, body] of Object.entries(all)) {
      const key = v7();
      const first = await post(stack.staff, `/staff/v1/${path}`, body, key);
      expect(first).toMatchObject({ status: 201 });
      expect(await post(stack.staff, `/staff/v1/${path}`, body, key)).toEqual(first);
      const taken = { status: 409, body: { code: "name_taken" } };
      expect(await post(stack.staff, `/staff/v1/${path}`, body, v7())).toMatchObject(taken);
      expect(await post(stack.staff, `/staff/v1/${path}`, body)).toMatchObject(taken);
    }
  });
});

test("nothing here was an error of ours", () => {
  expect(stack.statuses.filter((status) => status >= 500)).toEqual([]);
  expect(stack.errors).toEqual([]);
});
