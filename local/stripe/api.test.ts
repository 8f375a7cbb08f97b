import { Stripe } from "stripe";
import { expect, test } from "vitest";
import { z } from "zod";
import {
  API_KEY,
  aPaidSession,
  aSession,
  clientOver,
  inProcess,
  PUBLIC_URL,
  refusal,
  type Harness,
  ref,
} from "./harness.ts";

/** A call that the official client would not make. */
const raw = async (
  harness: Harness,
  path: string,
  init: { method?: string; body?: string; headers?: Record<string, string> } = {},
): Promise<Response> =>
  harness.standIn.fetch(
    new Request(`${PUBLIC_URL}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${API_KEY}`, ...init.headers },
    }),
  );
const FORM = { "content-type": "application/x-www-form-urlencoded" };

test("a wrong key and a missing key are 401, and nothing is done", async () => {
  const harness = await inProcess();
  const stranger = clientOver(harness.standIn.fetch, { apiKey: "sk_test_wrong" });
  expect(await refusal(stranger.customers.create({}))).toBeInstanceOf(
    Stripe.errors.StripeAuthenticationError,
  );
  const missing = await harness.standIn.fetch(new Request(`${PUBLIC_URL}/v1/customers`));
  expect([missing.status, await missing.json()]).toMatchObject([
    401,
    { error: { message: expect.stringContaining("did not provide an API key") } },
  ]);
  expect(harness.standIn.store.all("customer")).toEqual([]);
});

test("another API version than the pinned client's is refused", async () => {
  const harness = await inProcess();
  const answer = await raw(harness, "/v1/customers", {
    headers: { "stripe-version": "2020-08-27" },
  });
  expect([answer.status, await answer.json()]).toMatchObject([
    400,
    { error: { message: expect.stringContaining("2020-08-27") } },
  ]);
});

test("every answer carries a request id of its own", async () => {
  const { stripe } = await inProcess();
  const ids = [];
  for (let i = 0; i < 3; i += 1) ids.push((await stripe.customers.list()).lastResponse.requestId);
  ids.push((await refusal(stripe.customers.retrieve("cus_none"))).requestId);
  expect(new Set(ids).size).toBe(4);
  expect(ids.every((id) => id?.startsWith("req_"))).toBe(true);
});

test("what is not there is resource_missing: 404 by path, 400 by parameter", async () => {
  const { stripe } = await inProcess();
  expect(await refusal(stripe.subscriptions.retrieve("sub_none"))).toMatchObject({
    statusCode: 404,
    code: "resource_missing",
    param: "id",
    message: "No such subscription: 'sub_none'",
  });
  expect(
    await refusal(stripe.prices.create({ product: "prod_no", currency: "eur", unit_amount: 1 })),
  ).toMatchObject({ statusCode: 400, code: "resource_missing", param: "product" });
});

/** What a raw call was refused with: status, code and the parameter at fault. */
async function faultOf(answer: Response): Promise<unknown[]> {
  const { error } = Fault.parse(await answer.json());
  return [answer.status, error.code, error.param];
}
const Fault = z.object({
  error: z.object({
    type: z.literal("invalid_request_error"),
    message: z.string().min(1),
    code: z.string().optional(),
    param: z.string().optional(),
  }),
});

test.each([
  ["color=red", "parameter_unknown", "color"],
  ["metadata[a][b]=c", undefined, "metadata[a]"],
  ["metadata=x", undefined, "metadata"],
  ["invoice_settings[x]=1", "parameter_unknown", "invoice_settings[x]"],
  [
    "invoice_settings[default_payment_method]=pm_no",
    "resource_missing",
    "invoice_settings[default_payment_method]",
  ],
  ["name[]=a&name=b", undefined, "name"],
])(
  "a customer's update with %s is refused with the code %s and names %s",
  async (body, code, param) => {
    const harness = await inProcess();
    const { id } = await harness.stripe.customers.create({});
    const answer = await raw(harness, `/v1/customers/${id}`, {
      method: "POST",
      body,
      headers: FORM,
    });
    expect(await faultOf(answer)).toEqual([400, code, param]);
  },
);

test("an empty text unsets what can be unset", async () => {
  const harness = await inProcess();
  const { id } = await harness.stripe.customers.create({
    email: "a@example.com",
    metadata: { a: "1", b: "2" },
  });
  const answer = await raw(harness, `/v1/customers/${id}`, {
    method: "POST",
    body: "email=&metadata[a]=",
    headers: FORM,
  });
  expect(await answer.json()).toMatchObject({ email: null, metadata: { b: "2" } });
});

test.each([
  ["unit_amount=1&currency=eur", undefined, undefined],
  ["product=p&currency=eur", "parameter_missing", "unit_amount"],
  ["product=p&unit_amount=1", "parameter_missing", "currency"],
  ["product=p&currency=eur&unit_amount=1.5", "parameter_invalid_integer", "unit_amount"],
  ["product=p&currency=eur&unit_amount=-1", "parameter_invalid_integer", "unit_amount"],
  ["product=p&currency=&unit_amount=1", "parameter_invalid_empty", "currency"],
  [
    "product=p&currency=eur&unit_amount=1&recurring[interval]=hour",
    undefined,
    "recurring[interval]",
  ],
  ["product=p&currency=eur&unit_amount=1&active=maybe", undefined, "active"],
  ["product=p&currency=eur&unit_amount=1&recurring=month", undefined, "recurring"],
  ["product[__proto__][x]=1&currency=eur&unit_amount=1", undefined, "product"],
  ["__proto__[x]=1&product=p&currency=eur&unit_amount=1", "parameter_unknown", "__proto__"],
])("a price made with %s is refused with the code %s and names %s", async (body, code, param) => {
  const harness = await inProcess();
  const answer = await raw(harness, "/v1/prices", { method: "POST", body, headers: FORM });
  expect(await faultOf(answer)).toEqual([400, code, param]);
  expect(harness.standIn.store.all("price")).toEqual([]);
});

test("what v23 took from Checkout's parameters is unknown here too", async () => {
  const harness = await inProcess();
  const answer = await raw(harness, "/v1/checkout/sessions", {
    method: "POST",
    body: "mode=payment&payment_method_types[0]=card",
    headers: FORM,
  });
  expect(await answer.json()).toMatchObject({
    error: { code: "parameter_unknown", param: "payment_method_types" },
  });
});

test("an unknown URL is 404, a body of another type 400, a body too large 413", async () => {
  const harness = await inProcess();
  const unknown = await raw(harness, "/v1/nothing", { method: "POST" });
  expect([unknown.status, await unknown.json()]).toMatchObject([
    404,
    { error: { message: expect.stringContaining("Unrecognized request URL (POST: /v1/nothing)") } },
  ]);
  const json = await raw(harness, "/v1/customers", {
    method: "POST",
    body: "{}",
    headers: { "content-type": "application/json" },
  });
  expect(json.status).toBe(400);
  const large = await raw(harness, "/v1/customers", {
    method: "POST",
    body: `name=${"x".repeat(300_000)}`,
    headers: FORM,
  });
  expect(large.status).toBe(413);
});

test("deleting a customer ends their subscriptions and leaves a deleted reference", async () => {
  const harness = await inProcess();
  const { stripe } = harness;
  const session = await aPaidSession(harness);
  const customer = ref(session.customer);
  expect(await stripe.customers.del(customer)).toEqual({
    id: customer,
    object: "customer",
    deleted: true,
  });
  expect(await stripe.customers.retrieve(customer)).toMatchObject({ deleted: true });
  expect(
    await stripe.subscriptions.retrieve(ref(session.subscription), { expand: ["customer"] }),
  ).toMatchObject({ status: "canceled", customer: { deleted: true } });
  expect(await refusal(aSession(stripe, { customer }))).toMatchObject({ code: "resource_missing" });
});
