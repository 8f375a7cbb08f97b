import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { timingSafeEqual } from "node:crypto";
import { Stripe } from "stripe";
import type { Log } from "#core/ports.ts";
import { ApiError, invalidRequest } from "./api-error.ts";
import { billingOperations } from "./billing-operations.ts";
import type { CallFaults } from "./call-faults.ts";
import { checkoutOperations } from "./checkout-operations.ts";
import { couponOperations } from "./coupons.ts";
import { customerBalanceOperations } from "./customer-balance.ts";
import { customerOperations } from "./customers.ts";
import { disputeOperations } from "./disputes.ts";
import { eventOperations } from "./events.ts";
import { canonicalForm, decodeForm } from "./form.ts";
import type { IdempotencyKeys } from "./idempotency.ts";
import type { Operation } from "./operation.ts";
import { paymentMethodOperations } from "./payment-methods.ts";
import { portalOperations } from "./portal.ts";
import { priceOperations } from "./prices.ts";
import { productOperations } from "./products.ts";
import { refundOperations } from "./refunds.ts";
import type { Sandbox } from "./sandbox.ts";
import { subscriptionOperations } from "./subscription-operations.ts";
import { taxRateOperations } from "./tax-rates.ts";

const OPERATIONS: readonly Operation[] = [
  ...customerOperations,
  ...customerBalanceOperations,
  ...productOperations,
  ...priceOperations,
  ...couponOperations,
  ...taxRateOperations,
  ...checkoutOperations,
  ...subscriptionOperations,
  ...billingOperations,
  ...paymentMethodOperations,
  ...portalOperations,
  ...refundOperations,
  ...disputeOperations,
  ...eventOperations,
];
const LARGEST_BODY = 256 * 1024;

export type ApiDeps = Readonly<{
  sandbox: Sandbox;
  keys: IdempotencyKeys;
  callFaults: CallFaults;
  apiKey: string;
  /** Brings the account up to the present before a call looks at it. */
  catchUp: () => void;
  log: Log;
}>;

/** `/v1`: Stripe's API as the official client speaks it. */
export function createApi(deps: ApiDeps): Hono {
  const api = new Hono();
  api.use(
    bodyLimit({
      maxSize: LARGEST_BODY,
      onError: () => errorAnswer(invalidRequest("Request body too large.", { status: 413 })),
    }),
  );
  for (const operation of OPERATIONS)
    api.on(operation.method, operation.path, (c) => serve(deps, operation, c));
  api.all("/v1/*", (c) =>
    errorAnswer(
      invalidRequest(
        `Unrecognized request URL (${c.req.method}: ${c.req.path}). The local stand-in serves a part of Stripe's API: see local/stripe/.`,
        { status: 404 },
      ),
    ),
  );
  return api;
}

async function serve(deps: ApiDeps, operation: Operation, c: Context): Promise<Response> {
  const requestId = deps.sandbox.ids.next("req");
  const headers = new Headers({ "request-id": requestId, "stripe-version": Stripe.API_VERSION });
  const key = operation.method === "POST" ? c.req.header("idempotency-key") : undefined;
  let entered = false;
  try {
    authenticate(c.req.header("authorization"), deps.apiKey);
    checkVersion(c.req.header("stripe-version"));
    if (key !== undefined) {
      deps.keys.enter(key);
      entered = true;
      headers.set("idempotency-key", key);
    }
    const parameters = await parametersOf(c);
    return answer(deps, operation, c, { requestId, key, parameters, headers });
  } catch (error) {
    if (error instanceof ApiError) return errorAnswer(error, headers);
    deps.log.error("stripe_stand_in_failed", { path: c.req.path, request_id: requestId, error });
    return errorAnswer(
      new ApiError(500, { type: "api_error", message: "The Stripe stand-in failed: see its log." }),
      headers,
    );
  } finally {
    if (entered && key !== undefined) deps.keys.leave(key);
  }
}

/** From here on nothing waits, so that one call is done before the next begins. */
function answer(
  deps: ApiDeps,
  operation: Operation,
  c: Context,
  call: { requestId: string; key: string | undefined; parameters: string; headers: Headers },
): Response {
  const { sandbox, keys } = deps;
  const { key, requestId, headers } = call;
  deps.catchUp();
  if (key !== undefined) {
    const saved = keys.replay(key, c.req.path, canonicalForm(call.parameters), sandbox.now());
    if (saved !== undefined) {
      headers.set("idempotent-replayed", "true");
      headers.set("original-request", saved.requestId);
      return respond(saved.status, saved.body, headers);
    }
  }
  const run = operation.prepare(sandbox, c.req.param("id") ?? "", decodeForm(call.parameters));
  sandbox.request = { id: requestId, idempotency_key: key ?? null };
  let status = 200;
  let body: string;
  try {
    body = JSON.stringify(deps.callFaults.run(`${operation.method} ${c.req.path}`, run));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    ({ status } = error);
    body = JSON.stringify({ error: error.body });
  } finally {
    sandbox.request = null;
  }
  if (key !== undefined) {
    const parameters = canonicalForm(call.parameters);
    const savedAt = sandbox.now();
    keys.save({ key, path: c.req.path, parameters, status, body, requestId, savedAt });
    headers.set("original-request", requestId);
  }
  return respond(status, body, headers);
}

/** A query string and a form body, together: the client uses one or the other. */
async function parametersOf(c: Context): Promise<string> {
  const query = new URL(c.req.url).search.slice(1);
  const body = c.req.method === "GET" ? "" : await c.req.text();
  const type = c.req.header("content-type") ?? "";
  if (body !== "" && !type.startsWith("application/x-www-form-urlencoded"))
    throw invalidRequest(
      `Invalid request (check that your POST content type is application/x-www-form-urlencoded). It was ${type || "missing"}.`,
    );
  return [query, body].filter((part) => part !== "").join("&");
}

function authenticate(header: string | undefined, apiKey: string): void {
  const given = keyIn(header);
  if (given === "")
    throw invalidRequest(
      "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
      { status: 401 },
    );
  const a = Buffer.from(given);
  const b = Buffer.from(apiKey);
  if (a.length !== b.length || !timingSafeEqual(a, b))
    throw invalidRequest(`Invalid API Key provided: ${given.slice(0, 8)}****${given.slice(-4)}`, {
      status: 401,
    });
}

/** Bearer, or the user name of Basic. */
function keyIn(header: string | undefined): string {
  const [scheme = "", value = ""] = (header ?? "").split(" ");
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() !== "basic") return "";
  return Buffer.from(value, "base64").toString("utf8").split(":")[0] ?? "";
}

function checkVersion(version: string | undefined): void {
  if (version !== undefined && version !== Stripe.API_VERSION)
    throw invalidRequest(
      `Invalid Stripe API version: ${version}. The local stand-in speaks ${Stripe.API_VERSION} only, the version that the pinned client speaks.`,
    );
}

function respond(status: number, body: string, headers: Headers): Response {
  headers.set("content-type", "application/json");
  return new Response(body, { status, headers });
}

const errorAnswer = (error: ApiError, headers = new Headers()): Response =>
  respond(error.status, JSON.stringify({ error: error.body }), headers);
