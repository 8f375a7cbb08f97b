import { v7 } from "uuid";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { anActiveVm, aClient } from "#test/harness/customer.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

let stack: TestStack;
beforeAll(async () => {
  stack = await openStack();
  await anActiveVm(stack.customer);
  await anActiveVm(stack.customer);
  for (const name of ["b", "c", "d"])
    await stack.customer.request("POST", "/v1/tokens", { name, scopes: ["vms:read"] });
});
afterAll(() => stack.close());

const Page = z.strictObject({
  items: z.array(z.looseObject({ id: z.string() })),
  nextCursor: z.string().nullable(),
});
type Client = TestStack["customer"];
const show = (client: Client, list: string, query: string) =>
  client.ok(Page, "GET", `${list}?${query}`);

/** Walks a list one by one, as a program would. */
async function walk(client: Client, list: string) {
  const ids: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: z.infer<typeof Page> = await show(
      client,
      list,
      `limit=1${cursor === "" ? "" : `&cursor=${cursor}`}`,
    );
    expect(page.items.length).toBe(1);
    ids.push(...page.items.map((item) => item.id));
    cursor = page.nextCursor;
  }
  return ids;
}

test.each([
  ["/v1/plans", "customer"],
  ["/v1/images", "customer"],
  ["/v1/locations", "customer"],
  ["/v1/tokens", "customer"],
  ["/v1/vms", "customer"],
  ["/v1/invoices", "customer"],
  ["/staff/v1/hosts", "staff"],
  ["/staff/v1/accounts", "staff"],
  ["/staff/v1/vms", "staff"],
  ["/staff/v1/orders", "staff"],
  ["/staff/v1/actions", "staff"],
] as const)(
  "%s pages by cursor: each item once, in the order of the whole list",
  async (list, who) => {
    const whole = await show(stack[who], list, "limit=100");
    expect(whole.nextCursor).toBeNull();
    const ids = whole.items.map((item) => item.id);
    expect(ids.length).toBeGreaterThan(0);
    expect(await walk(stack[who], list)).toEqual(ids);
    expect((await show(stack[who], list, "cursor=AAAA")).items[0]?.id).toBe(ids[0]);
  },
);

test.each(["/v1/plans", "/v1/images", "/v1/locations", "/v1/tokens"])(
  "%s refuses a page that is none",
  async (list) => {
    for (const query of ["limit=0", "limit=101", "cursor=%00", "page=2"])
      expect(await stack.customer.request("GET", `${list}?${query}`)).toMatchObject({
        status: 400,
        body: { code: "invalid_request" },
      });
  },
);

test("a list begins anew when the cursor's item has gone", async () => {
  const client = await aClient(stack, "customer");
  const Made = z.object({ token: z.object({ id: z.string() }) });
  const body = { name: v7(), scopes: ["vms:read"] };
  const { token } = await client.ok(Made, "POST", "/v1/tokens", body);
  const { items, nextCursor } = await show(client, "/v1/tokens", "limit=1");
  expect(items[0]?.id).toBe(token.id);
  await client.request("DELETE", `/v1/tokens/${token.id}`);
  const next = await show(client, "/v1/tokens", `cursor=${nextCursor}`);
  expect(next.items).toHaveLength(1);
});
