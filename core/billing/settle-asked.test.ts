import { describe, expect, test } from "vitest";
import type { AskedInvoice } from "./payments.ts";
import { hasCrossed, settleAsked, type SettlingStep } from "./settle-asked.ts";

const anInvoice = (of: Partial<AskedInvoice> = {}): AskedInvoice => ({
  id: "in_1",
  status: "open",
  subscriptionId: "sub_ended",
  collects: false,
  isDue: false,
  ...of,
});
const other = { subscriptionId: "sub_other" };

describe("what a subscription that ended still asks for", () => {
  const table: readonly [string, AskedInvoice, SettlingStep["do"] | null][] = [
    ["is void", anInvoice(), "void"],
    ["is void also while it is collected still", anInvoice({ collects: true }), "void"],
    ["stays a draft that nobody opens", anInvoice({ status: "draft" }), null],
    ["as a draft is opened no more", anInvoice({ status: "draft", collects: true }), "hold"],
    ["by another is collected again", anInvoice({ ...other, isDue: true }), "collect"],
    ["by another is collected already", anInvoice({ ...other, isDue: true, collects: true }), null],
    ["by another that does not go on is left", anInvoice(other), null],
    ["by another is a draft still", anInvoice({ ...other, isDue: true, status: "draft" }), null],
    ["by none is left: it may be held on purpose", anInvoice({ subscriptionId: null }), null],
  ];
  test.each(table)("%s", (_, invoice, does) => {
    expect(settleAsked("sub_ended", [invoice])).toEqual(
      does === null ? [] : [{ invoiceId: "in_1", do: does }],
    );
  });

  test("is settled before anything is collected from the same customer", () => {
    const asked = [
      anInvoice({ ...other, id: "in_other", isDue: true }),
      anInvoice({ id: "in_open" }),
      anInvoice({ id: "in_draft", status: "draft", collects: true }),
    ];
    expect(settleAsked("sub_ended", asked).map((step) => step.invoiceId)).toEqual([
      "in_draft",
      "in_open",
      "in_other",
    ]);
  });
});

describe("a payment has crossed the end of what it is for", () => {
  const end = new Date("2026-03-01T12:00:00.500Z");
  test.each([
    ["2026-03-01T11:59:59Z", "paid", false],
    ["2026-03-01T12:00:00Z", "paid", false],
    ["2026-03-01T12:00:01Z", "paid", true],
    ["2026-03-01T12:00:01Z", "open", false],
    [null, "paid", false],
  ])("when it came at %s and the invoice is %s: %s", (paidAt, status, crossed) => {
    expect(hasCrossed({ status, paidAt: paidAt === null ? null : new Date(paidAt) }, end)).toBe(
      crossed,
    );
  });
});
