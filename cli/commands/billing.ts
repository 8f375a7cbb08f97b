import type { Answered } from "../api/client.ts";
import { moneyText } from "#core/money-text.ts";
import { NOTHING, when } from "../output/format.ts";
import { columnsOf, toned, type Block, type Column, type Cell } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import { currencyOf } from "../names.ts";
import { command, optional, required } from "./command.ts";

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
    ["order", invoice.orderId ?? NOTHING],
    ["made", when(invoice.createdAt)],
    ["page", invoice.hostedUrl ?? NOTHING],
  ],
});

export const billingCommands = [
  command("billing show", "The card that you pay with, and in which currency", {
    run: async (session) => {
      const client = await session.client();
      const [{ value, raw }, me] = await Promise.all([
        client.call("showPaymentMethod", {}),
        client.call("showMe", {}),
      ]);
      const { paymentMethod: card } = value;
      const expires = card && `${String(card.expMonth).padStart(2, "0")}/${card.expYear}`;
      return {
        json: raw,
        ids: [],
        next: card === null ? "berth billing card opens a page to save one" : undefined,
        blocks: [
          {
            kind: "fields",
            fields: [
              ["card", card === null ? NOTHING : `${card.brand} ${card.last4}`],
              ["expires", expires ?? NOTHING],
              ["pays in", me.value.currency ?? NOTHING],
            ],
          },
        ],
      };
    },
  }),

  command("billing card", "A page on which you save a card, which pays from then on", {
    options: {
      currency: optional("what it is to pay in, of an account that has paid nothing yet", {
        value: "currency",
      }),
    },
    run: async (session, _, { currency }) => {
      const client = await session.client();
      const { value, raw } = await client.call("openCardPage", {
        body: currency === undefined ? {} : { currency: currencyOf(currency) },
      });
      return {
        json: raw,
        ids: [value.url],
        next: "save it there; berth billing show tells when it is yours",
        blocks: [
          {
            kind: "fields",
            fields: [
              ["save it at", value.url],
              ["open until", when(value.expiresAt)],
            ],
          },
        ],
      };
    },
  }),

  command("billing portal", "A page on which you change cards, billing address, name and tax id", {
    options: {
      returnUrl: optional("where it leads back to: a page of this Berth", { value: "url" }),
    },
    run: async (session, _, { returnUrl }) => {
      const client = await session.client();
      const { value, raw } = await client.call("openPortal", {
        body: returnUrl === undefined ? {} : { returnUrl },
      });
      return {
        json: raw,
        ids: [value.url],
        blocks: [{ kind: "fields", fields: [["open it at", value.url]] }],
      };
    },
  }),

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
