import type { Answered } from "../api/client.ts";
import { moneyText } from "#core/money-text.ts";
import { NOTHING, when } from "../output/format.ts";
import { columnsOf, toned, type Block, type Column, type Cell } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import { command, required } from "./command.ts";

type Invoice = Answered<"showInvoice">["value"];

export const INVOICE_COLUMNS: readonly Column[] = columnsOf(
  "ID!",
  "NUMBER",
  "STATUS",
  "TOTAL",
  "PAID",
  "MADE?",
);
export const invoiceRow = (invoice: Invoice): readonly Cell[] => [
  invoice.id,
  invoice.number ?? NOTHING,
  toned(invoice.status),
  moneyText(invoice.total),
  moneyText(invoice.paid),
  when(invoice.createdAt),
];

const blockOf = (invoice: Invoice): Block => ({
  kind: "fields",
  fields: [
    ["id", invoice.id],
    ["number", invoice.number ?? NOTHING],
    ["status", toned(invoice.status)],
    ["total", moneyText(invoice.total)],
    ["paid", moneyText(invoice.paid)],
    ["order", invoice.orderId],
    ["made", when(invoice.createdAt)],
    ["page", invoice.hostedUrl ?? NOTHING],
  ],
});

export const billingCommands = [
  command("invoice list", "Your invoices", {
    options: { ...RANGE },
    run: async (session, _, range) => {
      const { items, json, next } = await listed(session, "listInvoices", {}, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [{ kind: "table", columns: INVOICE_COLUMNS, rows: items.map(invoiceRow) }],
      };
    },
  }),

  command("invoice show", "One invoice, and the page where it is paid or printed", {
    args: { invoice: required("an invoice's id", { names: "invoice", value: "invoice" }) },
    run: async (session, { invoice }) => {
      const client = await session.client();
      const { value, raw } = await client.call("showInvoice", { path: { id: invoice } });
      return { json: raw, ids: [value.id], blocks: [blockOf(value)] };
    },
  }),
];
