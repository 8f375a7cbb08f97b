import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dueOf, whyNotPaid, type Settled } from "./order-price.ts";

const order = { listMinor: 500n, currency: "usd", trialPolicy: null } as const;
const settled = (of: Partial<Settled> = {}): Settled => ({
  currency: "usd",
  listMinor: 500n,
  discountMinor: 0n,
  taxMinor: 0n,
  takenMinor: 500n,
  ...of,
});

describe("a completed checkout", () => {
  test.each<[string, Settled | null, boolean]>([
    ["of the list price", settled(), true],
    ["with a part off", settled({ discountMinor: 200n, takenMinor: 300n }), true],
    ["with all of it off", settled({ discountMinor: 500n, takenMinor: 0n }), true],
    ["with tax on top", settled({ taxMinor: 95n, takenMinor: 595n }), true],
    ["with both", settled({ discountMinor: 100n, taxMinor: 76n, takenMinor: 476n }), true],
    ["of less than is due", settled({ takenMinor: 499n }), false],
    ["of nothing, where something is due", settled({ takenMinor: 0n }), false],
    ["of the list price, with a part off that was not taken", settled({ taxMinor: 1n }), false],
    ["of another price", settled({ listMinor: 499n, takenMinor: 499n }), false],
    ["of a higher price", settled({ listMinor: 600n, takenMinor: 600n }), false],
    ["with more off than there is", settled({ discountMinor: 501n, takenMinor: -1n }), false],
    ["in another currency", settled({ currency: "eur" }), false],
    ["in one that we do not know", null, false],
  ])("%s pays the order: %s", (_, of, pays) => {
    expect(whyNotPaid(order, of) === null).toBe(pays);
  });

  test("of nothing at all begins a trial, and of anything else does not", () => {
    const tried = { ...order, trialPolicy: 1 };
    const nothing = settled({ listMinor: 0n, takenMinor: 0n });
    expect(whyNotPaid(tried, nothing)).toBeNull();
    // Its session may show what it costs afterwards, as long as it asks for none of it.
    expect(whyNotPaid(tried, settled({ taxMinor: -500n, takenMinor: 0n }))).toBeNull();
    for (const of of [
      settled(),
      { ...nothing, takenMinor: 1n },
      { ...nothing, currency: "eur" as const },
    ])
      expect(whyNotPaid(tried, of)).not.toBeNull();
    expect(whyNotPaid(order, nothing)).not.toBeNull();
  });

  test("pays by exactly what is due and by nothing else", () => {
    const minor = fc.bigInt({ min: 0n, max: 10_000n });
    fc.assert(
      fc.property(minor, minor, minor, (discountMinor, taxMinor, takenMinor) => {
        const of = settled({ discountMinor, taxMinor, takenMinor });
        expect(whyNotPaid(order, of) === null).toBe(takenMinor === dueOf(of));
      }),
    );
  });
});
