import { z } from "@hono/zod-openapi";
import { Currency } from "#core/money.ts";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";

export const OpenCardPage = z
  .strictObject({
    currency: use(Currency).optional().openapi({
      description:
        "What the card is to pay in, of an account that has paid nothing yet. Another than the account's own is refused (409 `currency_fixed`).",
    }),
  })
  .openapi("OpenCardPage");

export const CardPageView = z
  .object({
    url: z.url().openapi({ description: "Where the account's owner saves a card." }),
    expiresAt: Instant,
  })
  .openapi("CardPage");

export const OpenPortal = z
  .strictObject({
    returnUrl: z.url().max(2000).optional().openapi({
      description:
        "Where its page leads back to: a page of this installation, and no other (422 `return_url_foreign`).",
      example: "https://berth.example/account",
    }),
  })
  .openapi("OpenPortal");

export const PortalView = z
  .object({
    url: z.url().openapi({
      description: "Where cards, the billing address, name and tax id are changed.",
    }),
  })
  .openapi("Portal");

export const PaymentMethodView = z
  .object({
    brand: z.string().openapi({ example: "visa" }),
    last4: z.string().openapi({ example: "4242" }),
    expMonth: z.int(),
    expYear: z.int(),
  })
  .openapi("PaymentMethod");

export const PaymentMethodAnswer = z
  .object({
    paymentMethod: use(PaymentMethodView).nullable().openapi({
      description: "The card that an order may be paid with (`paymentMethod: default`).",
    }),
  })
  .openapi("PaymentMethodAnswer");
