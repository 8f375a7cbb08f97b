import type { PriceChanges, PriceChangeState } from "#core/billing/price-changes.ts";

/** Stands where the stand-in will. */
export function fakePriceChanges() {
  type Change = { priceId: string; state: PriceChangeState; how: string; at: Date };
  const changes = new Map<string, Change>();
  const undone: string[] = [];
  const fake = {
    price: "price_from",
    /** What a payer does when asked. */
    pays: "at_once" as "at_once" | "action_required" | "declined",
    refundPending: false,
    changes,
    undone,
    /** Confirms, or pays with another card. */
    payNow: (changeId?: string) => {
      for (const [id, change] of changes)
        if (change.state.kind === "waiting" && (changeId === undefined || id === changeId)) {
          fake.price = change.priceId;
          change.state = { kind: "applied", invoice: null };
        }
    },
    /** Pays just before the invoice is voided. */
    racesDrop: false,
  };
  const refuse = () => Promise.reject(new Error("not faked"));
  const port: PriceChanges = {
    fetchBilled: async (subscriptionId) => ({ subscriptionId, priceId: fake.price }) as never,
    previewChange: refuse,
    createChangeCheckout: refuse,
    fetchChangeCheckout: refuse,
    changePrice: async ({ changeId, priceId, how, at }) => {
      const known = changes.get(changeId);
      if (known) return known.state;
      const waits = how === "pay_first" && fake.pays !== "at_once";
      const state: PriceChangeState = waits
        ? {
            kind: "waiting",
            invoiceId: `in_${changeId}`,
            payUrl: `http://pay.test/${changeId}`,
            until: new Date(+at + 82_800_000),
            why: fake.pays === "declined" ? "declined" : "action_required",
          }
        : { kind: "applied", invoice: null };
      if (!waits) fake.price = priceId;
      changes.set(changeId, { priceId, state, how, at });
      return state;
    },
    fetchChange: async ({ changeId }) => changes.get(changeId)?.state ?? { kind: "not_there" },
    dropChange: async ({ changeId }) => {
      if (fake.racesDrop) fake.payNow(changeId);
      const change = changes.get(changeId);
      if (change?.state.kind === "waiting") change.state = { kind: "not_there" };
      return change?.state ?? { kind: "not_there" };
    },
    undoChange: async ({ changeId, priceId }) => {
      if (fake.refundPending) return false;
      if (!undone.includes(changeId)) undone.push(changeId);
      fake.price = priceId;
      return true;
    },
  };
  return { fake, port };
}
