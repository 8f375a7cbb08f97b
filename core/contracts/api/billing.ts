import { z } from "@hono/zod-openapi";
import { idOut } from "#core/ids.ts";
import { MoneyView } from "#core/money.ts";
import { pageOf } from "./page.ts";
import { Instant } from "#core/contracts/values.ts";

export const InvoiceView = z
  .object({
    id: idOut("invoice"),
    orderId: idOut("order")
      .nullable()
      .openapi({ description: "null: it is for none of your orders." }),
    number: z.string().nullable(),
    status: z.string(),
    total: MoneyView,
    paid: MoneyView,
    givenBack: MoneyView.openapi({
      description:
        "What of it went back, or is on its way: as credit, or to where it came from. Refunds of a whole order, and those that staff make at the payment provider, are not in it.",
    }),
    hostedUrl: z.string().nullable(),
    createdAt: Instant,
    paidAt: Instant.nullable(),
    crossed: z.boolean().openapi({
      description: "Its payment came when what it is for had ended already: it is given back.",
    }),
  })
  .openapi("Invoice");
export type InvoiceView = z.infer<typeof InvoiceView>;

export const InvoicePage = pageOf("InvoicePage", InvoiceView);
