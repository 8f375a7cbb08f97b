import { z } from "@hono/zod-openapi";
import { idOut } from "#core/ids.ts";
import { MoneyView } from "#core/money.ts";
import { pageOf } from "./page.ts";
import { Instant } from "#core/contracts/values.ts";

export const InvoiceView = z
  .object({
    id: idOut("invoice"),
    orderId: idOut("order"),
    number: z.string().nullable(),
    status: z.string(),
    total: MoneyView,
    paid: MoneyView,
    hostedUrl: z.string().nullable(),
    createdAt: Instant,
  })
  .openapi("Invoice");
export type InvoiceView = z.infer<typeof InvoiceView>;

export const InvoicePage = pageOf("InvoicePage", InvoiceView);
