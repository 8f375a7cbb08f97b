import { expect, it } from "vitest";
import {
  API_KEY,
  aPlan,
  CARDS,
  inProcess,
  PUBLIC_URL,
  ref,
  submitInvoice,
  submitPage,
  WEBHOOK_SECRET,
} from "#local/stripe/harness.ts";
import { createStripePayments } from "./stripe.ts";

it("a subscription that waits is not ended when its holder pays in the very moment", async () => {
  const harness = await inProcess();
  const { standIn, stripe, clock } = harness;
  /** What happens just before the invoice would be void. */
  let meanwhile = async (): Promise<unknown> => undefined;
  const payments = createStripePayments({
    apiKey: API_KEY,
    webhookSecret: WEBHOOK_SECRET,
    origin: new URL(PUBLIC_URL),
    now: clock.now,
    maxNetworkRetries: 0,
    fetchFn: async (input, init) => {
      const request = new Request(input, init);
      if (request.url.endsWith("/void")) await meanwhile();
      return standIn.fetch(request);
    },
  });
  const { customer, price } = await aPlan(stripe);
  const page = await stripe.checkout.sessions.create({
    mode: "setup",
    customer: customer.id,
    currency: "eur",
    success_url: "http://berth.test/saved",
  });
  await submitPage(standIn, page, { card: CARDS.alwaysAuthenticates });
  await submitPage(standIn, page, { authenticate: "succeed" });
  const [method] = (await stripe.paymentMethods.list({ customer: customer.id })).data;
  const started = await payments.startByCard({
    orderId: "order-1",
    customerId: customer.id,
    priceId: price.id,
    methodId: ref(method),
  });
  if (started.kind !== "started") throw new Error("it was declined");
  const { subscriptionId } = started;
  const waiting = await payments.fetchStarted(subscriptionId);
  expect(waiting).toMatchObject({ status: "open", paid: false });

  meanwhile = () => submitInvoice(standIn, waiting.invoiceId ?? "", { authenticate: "succeed" });
  expect(await payments.endStarted(subscriptionId)).toMatchObject({
    status: "complete",
    paid: true,
    settled: { listMinor: 1250n, takenMinor: 1250n },
    subscription: { status: "active" },
  });
  expect(standIn.store.all("subscription")).toMatchObject([{ status: "active" }]);
});
