import { Hono, type Context } from "hono";
import {
  handle,
  type APIGatewayProxyResult,
  type LambdaContext,
  type LambdaEvent,
} from "hono/aws-lambda";
import { bodyLimit } from "hono/body-limit";
import {
  PROBLEM_TYPE,
  problemDocument,
  STATUS_BY_CODE,
  type ProblemCode,
} from "#core/contracts/problem.ts";
import { completeHeaders } from "#core/contracts/answer-headers.ts";
import type { WebhookDeps } from "#commands/deps.ts";
import { createStripeReceiver } from "#commands/messages/receive-stripe-event.ts";
import { webhookLambda } from "#commands/runtime.ts";
import { unitOfWork } from "#commands/unit-of-work.ts";

/** Stripe's largest events are well below this. */
const MOST_BYTES = 1024 * 1024;

const PATH = "/webhooks/stripe";

type Env = { Variables: { requestId: string } };

/** Takes Stripe's deliveries: checks the signature over the raw body, stores, rings, answers. */
export const createStripeWebhook = (deps: WebhookDeps) => {
  const receive = createStripeReceiver(deps);
  const refuse = (c: Context<Env>, code: ProblemCode, detail: string) =>
    c.body(
      JSON.stringify(problemDocument(code, detail, c.get("requestId"))),
      STATUS_BY_CODE[code],
      { "content-type": PROBLEM_TYPE },
    );
  const tooLarge = (c: Context<Env>) => refuse(c, "body_too_large", "no event is this large");
  const limit = bodyLimit({ maxSize: MOST_BYTES, onError: tooLarge });
  return (
    new Hono<Env>()
      .use(async (c, next) => {
        c.set("requestId", deps.ids.newId());
        await next();
        completeHeaders(c.res.headers);
      })
      // The unit of work has logged it. Hono's own answer would print the error whole, with the delivery's body.
      .onError((_, c) => refuse(c, "internal", "something went wrong on our side"))
      .notFound((c) => refuse(c, "not_found", "there is no such route"))
      .post(
        PATH,
        // One that says how long it is, as Stripe's do, is not made a stream of only to be counted: that costs as much as the
        // whole check of its signature.
        async (c, next) => {
          const length = c.req.header("content-length");
          if (length === undefined || c.req.header("transfer-encoding") !== undefined)
            return limit(c, next);
          return Number(length) > MOST_BYTES ? tooLarge(c) : next();
        },
        async (c) =>
          unitOfWork(deps, "stripe.receive", { request_id: c.get("requestId") }, async (add) => {
            const body = await c.req.text();
            const received = await receive({
              body,
              signature: c.req.header("stripe-signature"),
            });
            if (!received.ok) {
              add({ code: received.error.code });
              return refuse(c, received.error.code, received.error.detail);
            }
            add({ delivery_id: received.value.messageId, seen: received.value.seen });
            return c.json({ received: true }, 200);
          }),
      )
      .all(PATH, (c) => {
        c.header("allow", "POST");
        return refuse(c, "method_not_allowed", `${PATH} takes POST`);
      })
  );
};

export const handler = webhookLambda<LambdaEvent, LambdaContext, APIGatewayProxyResult>((deps) => {
  const serve = handle(createStripeWebhook(deps));
  return async (event, context) => serve(event, context);
});
