import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aWorld } from "#test/harness/world.ts";

/* 7a: a price or a quantity at Stripe that differs from the service is a finding within one sync. */

let cp: ControlPlane;
let vmId: string;
beforeEach(async () => {
  cp = await startControlPlane();
  ({ vmId } = await anActiveVm(cp, await aWorld(cp)));
});
afterEach(() => cp.drop());

const open = () =>
  cp.rows(
    "select vm_id, detail from findings where kind = 'billed_otherwise' and ended_at is null",
  );
/** What somebody does to the subscription's one item in Stripe's dashboard. */
async function changed(of: { price?: string; quantity?: number }): Promise<void> {
  const { dashboard, standIn } = cp.stripe;
  const [subscription] = standIn.store.all("subscription");
  const [item] = subscription?.items.data ?? [];
  await dashboard.subscriptions.update(subscription?.id ?? "", {
    items: [{ id: item?.id ?? "", ...of }],
    proration_behavior: "none",
  });
  await cp.pump();
}
const aPrice = async (minor: number) =>
  (
    await cp.stripe.dashboard.prices.create({
      currency: "usd",
      unit_amount: minor,
      recurring: { interval: "month" },
      product_data: { name: "by hand" },
    })
  ).id;
const bought = () => cp.stripe.standIn.store.all("subscription")[0]?.items.data[0]?.price.id ?? "";

describe("a subscription that somebody changed at Stripe by hand", () => {
  test("to another price is told once, and is over when it is what was bought again", async () => {
    const before = bought();
    expect(await open()).toEqual([]);
    await changed({ price: await aPrice(1) });
    const detail = "its subscription bills 1 usd for 1 month, and 500 usd for 1 month was bought";
    expect(await open()).toEqual([{ vm_id: vmId, detail }]);
    for (const { id, type } of cp.stripe.standIn.store.all("event"))
      if (type === "customer.subscription.updated") cp.stripe.standIn.webhooks.resend(id);
    await cp.pump();
    expect(await open()).toHaveLength(1);
    await changed({ price: before });
    expect(await open()).toEqual([]);
  });

  test("to another quantity is told", async () => {
    await changed({ quantity: 2 });
    expect(await open()).toMatchObject([{ detail: "its subscription bills it 2 times" }]);
  });

  test("and then ended is over", async () => {
    await changed({ quantity: 2 });
    await cp.stripe.dashboard.subscriptions.cancel(
      cp.stripe.standIn.store.all("subscription")[0]?.id ?? "",
    );
    await cp.pump();
    expect(await open()).toEqual([]);
  });
});

test("a VM whose price is what was bought is told of by nothing that changes beside it", async () => {
  const [subscription] = cp.stripe.standIn.store.all("subscription");
  await cp.stripe.dashboard.subscriptions.update(subscription?.id ?? "", { description: "other" });
  await cp.pump();
  expect(await open()).toEqual([]);
});
