import { createRoute, type z } from "@hono/zod-openapi";
import {
  CardPageView,
  OpenCardPage,
  OpenPortal,
  PaymentMethodAnswer,
  PortalView,
} from "#core/contracts/api/cards.ts";
import { createSlowDown } from "#commands/accounts/slow-down.ts";
import { openCardPage } from "#commands/billing/open-card-page.ts";
import { openPortal } from "#commands/billing/open-portal.ts";
import { showPaymentMethod } from "#commands/billing/show-payment-method.ts";
import type { Deps } from "#commands/deps.ts";
import { forAccounts, type AccountEnv } from "#functions/access.ts";
import { problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

const cardRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "billing:write"),
    operationId: "openCardPage",
    summary: "A page on which you save a card",
    description:
      "Nothing is charged on it. The card that was saved becomes yours and that of each of your subscriptions, and what you owe is tried with it " +
      "at once. Twenty pages and looks at cards are opened at once, and one more each three minutes.",
    tags: ["Billing"],
    method: "post",
    path: "/v1/billing/card-session",
    request: { body: { required: true, content: json(OpenCardPage) } },
    responses: {
      201: { description: "The page", content: json(CardPageView) },
      ...problems("email_not_verified", "currency_fixed", "payment_provider_unavailable"),
    },
  });

const portalRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "billing:write"),
    operationId: "openPortal",
    summary: "The payment provider's page about you",
    description:
      "There you change your cards, billing address, name and tax id, and see invoices. What was bought is changed and cancelled here, where " +
      "the VM is.",
    tags: ["Billing"],
    method: "post",
    path: "/v1/billing/portal-session",
    request: { body: { required: true, content: json(OpenPortal) } },
    responses: {
      201: { description: "The page", content: json(PortalView) },
      ...problems("return_url_foreign", "payment_provider_unavailable"),
    },
  });

const methodRoute = (deps: Deps) =>
  createRoute({
    ...forAccounts(deps, ["customer"], "billing:read"),
    operationId: "showPaymentMethod",
    summary: "Your card on file",
    tags: ["Billing"],
    method: "get",
    path: "/v1/billing/payment-method",
    responses: {
      200: { description: "The card, or null", content: json(PaymentMethodAnswer) },
      ...problems("payment_provider_unavailable"),
    },
  });

/** Cards on file. Each of these costs calls of the payment provider, and is counted. */
export const cardRoutes = (deps: Deps) => {
  const slowDown = createSlowDown(deps);
  return newRouter<AccountEnv>()
    .openapi(cardRoute(deps), async (c) => {
      const who = c.get("who");
      unwrap(await slowDown.take("card", who.accountId));
      const { currency = null } = c.req.valid("json");
      const { url, expiresAt } = unwrap(await openCardPage(deps, who, currency));
      return c.json({ url, expiresAt: expiresAt.toISOString() }, 201);
    })
    .openapi(portalRoute(deps), async (c) => {
      const who = c.get("who");
      unwrap(await slowDown.take("card", who.accountId));
      const { returnUrl = null } = c.req.valid("json");
      return c.json(unwrap(await openPortal(deps, who, returnUrl)), 201);
    })
    .openapi(methodRoute(deps), async (c) => {
      const who = c.get("who");
      unwrap(await slowDown.take("card", who.accountId));
      return c.json({ paymentMethod: await showPaymentMethod(deps, who) }, 200);
    });
};
