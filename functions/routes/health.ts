import { createRoute, z } from "@hono/zod-openapi";
import { checkHealth } from "#commands/check-health.ts";
import type { Deps } from "#commands/deps.ts";
import { forAnybody } from "#functions/access.ts";
import { changeEmailPage, resetPasswordPage, verifyEmailPage } from "#functions/link-pages.ts";
import { page, showPage } from "#functions/page.ts";
import { newRouter } from "#functions/router.ts";

const Health = z
  .object({ ok: z.boolean(), unsentRows: z.int(), oldestUnsentMs: z.int() })
  .openapi("Health");

const healthRoute = createRoute({
  ...forAnybody,
  operationId: "checkHealth",
  summary: "Whether the database answers, and whether anything is stuck on its way out",
  tags: ["Public"],
  method: "get",
  path: "/healthz",
  responses: {
    200: { description: "Well", content: { "application/json": { schema: Health } } },
    503: { description: "Stuck", content: { "application/json": { schema: Health } } },
  },
});

/** Health, the two pages that a payer comes back to from Checkout, and those that mailed links open. */
export const publicPages = (deps: Deps) => {
  const router = newRouter().openapi(healthRoute, async (c) => {
    const health = await checkHealth(deps);
    return c.json(health, health.ok ? 200 : 503);
  });
  for (const [path, shown] of [
    ["/checkout/done", CHECKOUT_DONE],
    ["/checkout/cancelled", CHECKOUT_CANCELLED],
    ["/account/verify-email", verifyEmailPage],
    ["/account/reset-password", resetPasswordPage],
    ["/account/change-email", changeEmailPage],
  ] as const)
    router.get(path, (c) => showPage(c, shown));
  return router;
};

const CHECKOUT_DONE = page(
  "Payment received",
  "<h1>Payment received</h1><p>Your VM is being made; it is usually up within a minute. You can close this page.</p>",
);
const CHECKOUT_CANCELLED = page(
  "Payment cancelled",
  "<h1>Payment cancelled</h1><p>Nothing was charged. Your place is held for half an hour from the order on.</p>",
);
