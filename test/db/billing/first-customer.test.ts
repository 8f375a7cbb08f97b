import { v7 } from "uuid";
import { afterAll, beforeAll, expect, test } from "vitest";
import { keepBillingCustomer } from "#db/billing/customers.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aWorld } from "#test/harness/world.ts";

/* Two first orders of one account at once are given one customer by the provider, by their one key. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane({ connections: 25 });
});
afterAll(() => cp.drop());

const ROUNDS = 5;
const AT_ONCE = 25;

test("the customer of an account is written down by all that bring it at once", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const { buyer } = await aWorld(cp);
    const payer = { accountId: buyer.accountId, currency: "usd" } as const;
    const customer = `cus_${v7()}`;
    const made = { customerId: customer, email: buyer.email, now: cp.clock.now() };
    const kept = await Promise.all(
      Array.from({ length: AT_ONCE }, () => keepBillingCustomer(cp.deps.db, payer, made)),
    );
    expect(new Set(kept)).toEqual(new Set([customer]));
  }
});
