import { describe, expect, test } from "vitest";
import { cardOnFile, cardSteps, type CardPage, type Payer, type SavedMethod } from "./cards.ts";

const saved = (id: string, second = 0, over: Partial<SavedMethod> = {}): SavedMethod => ({
  id,
  createdAt: new Date(Date.UTC(2026, 0, 1, 0, 0, second)),
  card: { brand: "visa", last4: "4242", expMonth: 12, expYear: 2031 },
  ...over,
});
const aPayer = (over: Partial<Payer> = {}): Payer => ({
  chosen: null,
  subscriptions: [],
  ...over,
});
const aPage = (over: Partial<CardPage> = {}): CardPage => ({
  id: "page",
  customerId: "customer",
  method: saved("new", 9),
  isTaken: false,
  ...over,
});

describe("the card on file", () => {
  test("is the one that the customer chose", () => {
    const subscriptions = [{ id: "s", method: saved("other") }];
    expect(cardOnFile(aPayer({ chosen: saved("chosen"), subscriptions }))?.id).toBe("chosen");
  });
  test("is else that of the newest subscription that has one", () => {
    const subscriptions = [
      { id: "newest", method: null },
      { id: "newer", method: saved("newer") },
      { id: "old", method: saved("old") },
    ];
    expect(cardOnFile(aPayer({ subscriptions }))?.id).toBe("newer");
  });
  test("is none where what pays is no card: an order is paid at once or not at all", () => {
    expect(cardOnFile(aPayer({ chosen: saved("bank", 0, { card: null }) }))).toBeNull();
    expect(cardOnFile(aPayer())).toBeNull();
  });
});

describe("what brings subscriptions in line with a card", () => {
  test("that was saved: choose it, pay what is owed, charge each subscription to it, and note that last", () => {
    const subscriptions = [
      { id: "a", method: saved("old") },
      { id: "b", method: null },
      { id: "c", method: saved("new", 9) },
    ];
    expect(cardSteps(aPayer({ chosen: saved("old"), subscriptions }), aPage())).toEqual([
      { do: "choose", methodId: "new" },
      { do: "pay_owed", methodId: "new" },
      { do: "charge_to", subscriptionId: "a", methodId: "new" },
      { do: "charge_to", subscriptionId: "b", methodId: "new" },
      { do: "mark_taken", pageId: "page" },
    ]);
  });
  test("that was saved and chosen before a crash: what is left is done, and what is owed tried again", () => {
    expect(cardSteps(aPayer({ chosen: saved("new", 9) }), aPage())).toEqual([
      { do: "pay_owed", methodId: "new" },
      { do: "mark_taken", pageId: "page" },
    ]);
  });
  test("that was saved before another one: that other one stays", () => {
    const subscriptions = [{ id: "a", method: saved("later", 10) }];
    const payer = aPayer({ chosen: saved("later", 10), subscriptions });
    expect(cardSteps(payer, aPage())).toEqual([{ do: "mark_taken", pageId: "page" }]);
  });
  test("that was chosen at the provider, with no page", () => {
    const subscriptions = [{ id: "a", method: saved("old") }];
    expect(cardSteps(aPayer({ chosen: saved("new"), subscriptions }), null)).toEqual([
      { do: "pay_owed", methodId: "new" },
      { do: "charge_to", subscriptionId: "a", methodId: "new" },
    ]);
  });
  test.each([
    { name: "all is in line", chosen: saved("new"), page: null },
    {
      name: "the page's card was taken into use",
      chosen: saved("old"),
      page: aPage({ isTaken: true }),
    },
    { name: "nothing was saved yet", chosen: saved("old"), page: aPage({ method: null }) },
    { name: "there is no card at all", chosen: null, page: null },
  ])("is nothing where $name", ({ chosen, page }) => {
    const subscriptions = chosen === null ? [] : [{ id: "a", method: chosen }];
    expect(cardSteps(aPayer({ chosen, subscriptions }), page)).toEqual([]);
  });
});
