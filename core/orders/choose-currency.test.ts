import { expect, test } from "vitest";
import { chooseCardsCurrency, chooseCurrency } from "./choose-currency.ts";

const at = {
  asked: null,
  own: null,
  usual: "usd",
  sold: ["eur", "jpy", "usd"],
  what: "Small",
} as const;

test.each([
  ["in the usual one, where nobody says", {}, "usd"],
  ["in what is asked for", { asked: "jpy" }, "jpy"],
  ["in the account's own, once it has one", { own: "eur" }, "eur"],
  ["in the account's own, where that is asked for", { own: "eur", asked: "eur" }, "eur"],
  ["in the only one that it is sold in", { sold: ["kwd"] }, "kwd"],
] as const)("an order is placed %s", (_, over, currency) => {
  expect(chooseCurrency({ ...at, ...over })).toEqual({ ok: true, value: currency });
});

test.each([
  [
    "another than the account's own",
    { own: "eur", asked: "jpy" },
    "currency_fixed",
    "this account pays in eur since its first payment: leave the currency out, or use another account for jpy",
  ],
  [
    "another than the account's own, also where the plan is not sold in it",
    { own: "eur", asked: "isk" },
    "currency_fixed",
    "this account pays in eur since its first payment: leave the currency out, or use another account for isk",
  ],
  [
    "one that the plan is not sold in",
    { asked: "isk" },
    "currency_not_sold",
    "Small is not sold in isk: it is sold in eur, jpy, usd",
  ],
  [
    "none, of a plan that is not sold in the account's own",
    { own: "isk", sold: ["eur"] },
    "currency_not_sold",
    "Small is not sold in isk, in which this account pays: it is sold in eur",
  ],
  [
    "none, of a plan that is sold in several and not in the usual one",
    { sold: ["jpy", "eur"] },
    "currency_not_sold",
    "Small is not sold in usd: it is sold in eur, jpy",
  ],
] as const)("an order that asks for %s is refused", (_, over, code, detail) => {
  expect(chooseCurrency({ ...at, ...over })).toEqual({ ok: false, error: { code, detail } });
});

test.each([
  { name: "the account's own", own: "eur", asked: null, known: ["usd"], is: "eur" },
  { name: "what is asked for", own: null, asked: "gbp", known: ["eur"], is: "gbp" },
  { name: "the usual one, of several", own: null, asked: null, known: ["eur", "usd"], is: "usd" },
  { name: "that of a card before", own: null, asked: null, known: ["eur"], is: "eur" },
  { name: "the usual one", own: null, asked: null, known: [], is: "usd" },
] as const)("a card is of $name", ({ own, asked, known, is }) => {
  expect(chooseCardsCurrency({ own, asked, known, usual: "usd" })).toEqual({ ok: true, value: is });
});

test("a card of another currency than the account's own is refused", () => {
  const of = { own: "eur", asked: "usd", known: [], usual: "usd" } as const;
  expect(chooseCardsCurrency(of)).toMatchObject({ error: { code: "currency_fixed" } });
});
