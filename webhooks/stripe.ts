import { Hono } from "hono";
import {
  handle,
  type APIGatewayProxyResult,
  type LambdaContext,
  type LambdaEvent,
} from "hono/aws-lambda";
import { bodyLimit } from "hono/body-limit";
import { STATUS_BY_CODE } from "#core/contracts/problem.ts";
import type { Deps } from "#commands/deps.ts";
import { receiveStripeEvent } from "#commands/receive-stripe-event.ts";
import { lambda } from "#commands/runtime.ts";
import { unitOfWork } from "#commands/unit-of-work.ts";

/** Stripe's largest events are well below this. */
const MOST_BYTES = 1024 * 1024;

/** Takes Stripe's deliveries: checks the signature over the raw body, stores, rings, answers. */
export const createStripeWebhook = (deps: Deps) =>
  new Hono()
    // The unit of work has logged it. Hono's own answer would print the error whole, with the delivery's body.
    .onError((_, c) => c.json({ code: "internal" }, STATUS_BY_CODE.internal))
    .post(
      "/webhooks/stripe",
      bodyLimit({
        maxSize: MOST_BYTES,
        onError: (c) => c.json({ code: "body_too_large" }, STATUS_BY_CODE.body_too_large),
      }),
      async (c) =>
        unitOfWork(deps, "stripe.receive", {}, async (add) => {
          const body = await c.req.text();
          const received = await receiveStripeEvent(deps, {
            body,
            signature: c.req.header("stripe-signature"),
          });
          if (!received.ok) {
            add({ code: received.error.code });
            return c.json(received.error, STATUS_BY_CODE[received.error.code]);
          }
          add({ delivery_id: received.value.messageId, seen: received.value.seen });
          return c.json({ received: true }, 200);
        }),
    );

export const handler = lambda<LambdaEvent, LambdaContext, APIGatewayProxyResult>((deps) => {
  const serve = handle(createStripeWebhook(deps));
  return async (event, context) => serve(event, context);
});
