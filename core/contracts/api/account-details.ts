import { z } from "@hono/zod-openapi";
import { MAX_NOTE_LENGTH } from "#core/accounts/accounts.ts";
import { use } from "#core/contracts/named.ts";
import { Instant } from "#core/contracts/values.ts";
import { idOut } from "#core/ids.ts";
import { MoneyView } from "#core/money.ts";
import { AccountView, TokenView } from "./accounts.ts";
import { InvoiceView } from "./billing.ts";
import { OrderView } from "./orders.ts";
import { VmView } from "./vms.ts";

/* An account as staff look at it: its money, machines, log-ins and notes. */

export const AddNote = z
  .strictObject({
    text: z
      .string()
      .trim()
      .min(1)
      .max(MAX_NOTE_LENGTH)
      .refine(
        (text) => text.isWellFormed() && !/[^\P{Cc}\n\t]/u.test(text),
        "may hold no control characters",
      )
      .openapi({
        pattern: "^\\s*[^\\s\\p{Cc}\\p{Cs}](?:[^\\p{Cc}\\p{Cs}]|[\\n\\t])*$",
        example: "Called on Monday: wants a larger disk.",
      }),
  })
  .openapi("AddNote");

export const NoteView = z
  .object({
    id: z.uuid(),
    authorId: idOut("account"),
    authorEmail: z.string(),
    text: z.string(),
    writtenAt: Instant,
  })
  .openapi("AccountNote");
export type NoteView = z.infer<typeof NoteView>;

const Sum = z.object({ paid: MoneyView, open: MoneyView }).openapi("AccountSum", {
  description: "In one currency: what was paid of all invoices, and what is open.",
});
const LogIn = z
  .object({
    createdAt: Instant,
    expiresAt: Instant,
    address: z.string().nullable(),
    userAgent: z.string().nullable(),
    secondFactor: z.boolean(),
    impersonatedBy: idOut("account")
      .nullable()
      .openapi({ description: "Who of staff acts in it; null: its owner does." }),
  })
  .openapi("AccountLogIn");

export const AccountDetailsView = z
  .object({
    ...AccountView.shape,
    money: use(
      z
        .object({
          sums: z.array(Sum),
          invoices: z.array(use(InvoiceView)).openapi({ description: "The newest 10." }),
        })
        .openapi("AccountMoney"),
    )
      .nullable()
      .openapi({ description: "null without the scope `billing:read`." }),
    orders: z
      .array(use(OrderView))
      .nullable()
      .openapi({ description: "The newest 10; null without the scope `orders:read`." }),
    vms: z.array(use(VmView)).nullable().openapi({
      description: "The newest 25 that are not gone; null without the scope `vms:read`.",
    }),
    logIns: z.array(LogIn).openapi({ description: "The newest 10 that are kept." }),
    tokens: z.array(use(TokenView)),
    notes: z.array(use(NoteView)).openapi({ description: "The newest 50." }),
  })
  .openapi("AccountDetails");
export type AccountDetailsView = z.infer<typeof AccountDetailsView>;
