import { Stripe } from "stripe";
import { describe, expect, it } from "vitest";
import { makeOnce } from "./make-once.ts";

const NOW = new Date("2026-03-01T12:34:56.789Z");
/** Whole minutes since 1970, by hand. */
const MINUTE = 29_539_474;

/** Makes under the keys that it is given; `fails` throws at the first of them. */
function aCall(fails: Error | null, found?: string) {
  const keys: string[] = [];
  let looked = 0;
  return {
    keys,
    looked: () => looked,
    made: makeOnce({
      key: "order-1",
      now: NOW,
      make: async (key) => {
        keys.push(key);
        if (keys.length === 1 && fails !== null) throw fails;
        return `made under ${key}`;
      },
      find: async () => {
        looked += 1;
        return found;
      },
    }),
  };
}

const stripe500 = new Stripe.errors.StripeAPIError({ message: "kept", type: "api_error" });

describe("making something once", () => {
  it("is one call under the key when that is answered", async () => {
    const call = aCall(null);
    expect(await call.made).toBe("made under order-1");
    expect([call.keys, call.looked()]).toEqual([["order-1"], 0]);
  });

  it("after a 500, which Stripe keeps under the key, takes what was made all the same", async () => {
    const call = aCall(stripe500, "found");
    expect(await call.made).toBe("found");
    expect(call.keys).toEqual(["order-1"]);
  });

  it("after a 500 that made nothing is tried under a key of this minute", async () => {
    const call = aCall(stripe500);
    expect(await call.made).toBe(`made under order-1-${MINUTE}`);
    expect([call.keys, call.looked()]).toEqual([["order-1", `order-1-${MINUTE}`], 1]);
  });

  it.each([
    new Stripe.errors.StripeConnectionError({ message: "gone", type: "api_error" }),
    new Stripe.errors.StripeInvalidRequestError({ message: "no", type: "invalid_request_error" }),
    new Error("ours"),
  ])("after %s keeps the key for whoever tries again, and looks for nothing", async (error) => {
    const call = aCall(error);
    await expect(call.made).rejects.toBe(error);
    expect([call.keys, call.looked()]).toEqual([["order-1"], 0]);
  });
});
