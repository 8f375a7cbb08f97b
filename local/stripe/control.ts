import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { refuseForeignPages } from "../foreign-page.ts";
import { ApiError } from "./api-error.ts";
import type { CallFaults } from "./call-faults.ts";
import { closeDispute, openDispute } from "./disputes.ts";
import type { Sandbox } from "./sandbox.ts";
import type { WebhookQueue } from "./webhooks.ts";

const MOST_LISTED = 1000;
const count = z.int().min(1).max(1000);
const day = 24 * 3600 * 1000;

const Resend = z.strictObject({ event: z.string(), times: count.default(1) });
const FaultRequest = z.strictObject({
  kind: z.enum(["drop", "duplicate", "delay", "reorder"]),
  count: count.default(1),
  type: z.string().max(100).optional(),
  delayMs: z
    .int()
    .min(0)
    .max(30 * day)
    .optional(),
});
const FailPayments = z.strictObject({
  customer: z.string(),
  count: count.default(1),
  declineCode: z.string().max(100).default("generic_decline"),
});
const FailCalls = z.strictObject({
  call: z.string().regex(/^(GET|POST|DELETE) \/v1\/[\w/]{1,200}$/),
  count: count.default(1),
  done: z.boolean().default(false),
});
const OpenDispute = z.strictObject({
  charge: z.string(),
  reason: z.string().max(100).default("fraudulent"),
  amount: z.int().positive().optional(),
});
const FailFinalization = z.strictObject({
  customer: z.string(),
  /** As of an address for which no tax can be worked out; null: they go through again. */
  code: z.enum(["customer_tax_location_invalid"]).nullable(),
});
const CloseDispute = z.strictObject({ dispute: z.string(), outcome: z.enum(["won", "lost"]) });
const Nothing = z.strictObject({});

/**
 * `/_local`: what a test or a person does to the stand-in and could not do to Stripe. JSON in and out; bad input is
 * a 4xx with `{error: {message}}`. It asks for no key, so it is for loopback only.
 */
export function createControl(deps: {
  /** Where the stand-in is found. */
  publicUrl: string;
  sandbox: Sandbox;
  queue: WebhookQueue;
  callFaults: CallFaults;
  runDue: () => number;
}): Hono {
  const { sandbox, queue } = deps;
  const control = new Hono().basePath("/_local");
  control.use(refuseForeignPages(deps.publicUrl));
  control.use(bodyLimit({ maxSize: 16 * 1024 }));
  control.onError((error) => {
    if (error instanceof ApiError) return refuse(error.status, error.message);
    throw error;
  });

  const post = <S extends z.ZodType>(
    path: string,
    schema: S,
    run: (input: z.output<S>) => object,
  ): void => {
    control.post(path, async (c) => {
      // A page of another origin cannot send this type without asking first.
      if (!(c.req.header("content-type") ?? "").startsWith("application/json"))
        return refuse(415, "Send application/json.");
      const parsed = schema.safeParse(jsonOf(await c.req.text()));
      if (!parsed.success) return refuse(400, z.prettifyError(parsed.error));
      deps.runDue();
      return c.json(run(parsed.data));
    });
  };

  post("/resend", Resend, ({ event, times }) => ({
    deliveries: Array.from({ length: times }, () => queue.resend(event)),
  }));
  post("/faults", FaultRequest, (fault) => {
    queue.arm(fault);
    return { armed: fault };
  });
  post("/fail-finalization", FailFinalization, ({ customer, code }) => {
    sandbox.find("customer", customer);
    if (code === null) sandbox.store.remove("unfinalizable", customer);
    else sandbox.store.put("unfinalizable", { id: customer, code });
    return { customer, code };
  });
  post("/fail-payments", FailPayments, ({ customer, count, declineCode }) => {
    sandbox.find("customer", customer);
    sandbox.store.put("armed_failure", { id: customer, count, declineCode });
    return { customer, count, declineCode };
  });
  // The 500 is kept under the call's idempotency key, as Stripe keeps it.
  post("/fail-calls", FailCalls, (fault) => {
    deps.callFaults.arm(fault);
    return { armed: fault };
  });
  post("/disputes", OpenDispute, ({ charge, reason, amount }) =>
    openDispute(sandbox, charge, { reason, amount }),
  );
  post("/disputes/close", CloseDispute, ({ dispute, outcome }) =>
    closeDispute(sandbox, dispute, outcome),
  );
  // What was due is done before any of these; the call alone is for a clock that somebody moved.
  post("/run-due", Nothing, () => ({ now: sandbox.now(), next: queue.nextDueAt() ?? null }));
  control.get("/deliveries", (c) =>
    c.json({
      pending: queue.pending().slice(0, MOST_LISTED),
      attempts: queue.attempts().slice(-MOST_LISTED),
    }),
  );
  control.all("*", (c) => refuse(404, `There is no ${c.req.method} ${c.req.path}.`));
  return control;
}

const refuse = (status: number, message: string): Response =>
  Response.json({ error: { message } }, { status });

/** The JSON in a body; an empty body is an empty object, and what is no JSON is undefined, which no schema takes. */
function jsonOf(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
