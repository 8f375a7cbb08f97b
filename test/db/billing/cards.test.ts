import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyBillingEvent } from "#commands/orders/apply-billing-event.ts";
import { openCardPage } from "#commands/billing/open-card-page.ts";
import { openPortal } from "#commands/billing/open-portal.ts";
import { showPaymentMethod } from "#commands/billing/show-payment-method.ts";
import { aCardOnFile, aSavedCard, chargedTo } from "#test/harness/cards.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { CARD } from "#test/harness/stripe-in-process.ts";
import { anActiveVm, aWorld, valueOf, type World } from "#test/harness/world.ts";

let cp: ControlPlane;
let world: World;
beforeEach(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp);
});
afterEach(() => cp.drop());

const audited = () => cp.rows("select detail from audit_log where action = 'card.change'");
/** A renewal that failed: its invoice is open, and asked for. */
async function aVmThatOwes() {
  const vm = await anActiveVm(cp, world, CARD.failsAtRenewal);
  cp.clock.advanceDays(32);
  cp.stripe.standIn.runDue();
  cp.clock.advance(2 * 3_600_000);
  cp.stripe.standIn.runDue();
  await cp.pump();
  expect(cp.stripe.standIn.store.all("subscription")).toMatchObject([{ status: "past_due" }]);
  return vm;
}

describe("a card that is saved on its page", () => {
  test("becomes the customer's and each subscription's own, and pays what is owed at once", async () => {
    const { vmId } = await aVmThatOwes();
    await aCardOnFile(cp, world.buyer);
    expect(chargedTo(cp)).toEqual({ customer: ["4242"], subscriptions: ["4242"] });
    expect(cp.stripe.standIn.store.all("invoice").map((i) => i.status)).toEqual(["paid", "paid"]);
    const [service] = await cp.rows(
      "select subscription_status as status, entitled_until > $2 as runs from services where vm_id = $1",
      vmId,
      cp.clock.now(),
    );
    expect(service).toEqual({ status: "active", runs: true });
    expect(await audited()).toEqual([{ detail: { brand: "visa", last4: "4242" } }]);
  });

  test("that the bank declines is no error of ours: what is owed stays owed", async () => {
    await aVmThatOwes();
    await aCardOnFile(cp, world.buyer, CARD.failsAtRenewal);
    expect(cp.stripe.standIn.store.all("subscription")).toMatchObject([{ status: "past_due" }]);
    expect(chargedTo(cp)).toMatchObject({ customer: ["0341"] });
    expect(cp.log.errors).toEqual([]);
    expect(await cp.rows("select 1 from inbox where applied_at is null")).toEqual([]);
  });

  test("takes nothing back that was chosen since, when its event comes again", async () => {
    await anActiveVm(cp, world);
    await aCardOnFile(cp, world.buyer, "5555555555554444");
    cp.clock.advance(60_000);
    await aCardOnFile(cp, world.buyer, CARD.works);
    const { url } = valueOf(await openPortal(cp.deps, world.buyer, null));
    const mastercard = cp.stripe.standIn.store
      .all("payment_method")
      .find((method) => method.card?.last4 === "4444");
    expect(await cp.stripe.submit(url, { default: mastercard?.id ?? "" })).toBe(303);
    await cp.pump();
    expect(chargedTo(cp)).toEqual({ customer: ["4444"], subscriptions: ["4444"] });
    await cp.rows("update inbox set applied_at = null, outcome = null, looked_at_until = null");
    for (const { id } of await cp.rows("select message_id as id from inbox order by received_at"))
      await applyBillingEvent(cp.deps, String(id));
    expect(chargedTo(cp)).toEqual({ customer: ["4444"], subscriptions: ["4444"] });
  });

  test("later wins, whichever event comes first", async () => {
    await anActiveVm(cp, world);
    await aSavedCard(cp, world.buyer, "5555555555554444");
    cp.clock.advance(60_000);
    await aSavedCard(cp, world.buyer, CARD.works);
    await cp.stripe.standIn.webhooks.deliverDue();
    const sessions = await cp.rows(
      "select message_id as id from inbox where object_kind = 'checkout.session' and applied_at is null order by received_at desc, message_id desc",
    );
    expect(sessions).toHaveLength(2);
    for (const { id } of sessions) await applyBillingEvent(cp.deps, String(id));
    for (const { id } of sessions.toReversed()) await applyBillingEvent(cp.deps, String(id));
    expect(chargedTo(cp)).toEqual({ customer: ["4242"], subscriptions: ["4242"] });
  });

  test("is shown, and needs an address that was proven", async () => {
    expect(await showPaymentMethod(cp.deps, world.buyer)).toBeNull();
    await aCardOnFile(cp, world.buyer);
    expect(await showPaymentMethod(cp.deps, world.buyer)).toMatchObject({
      brand: "visa",
      last4: "4242",
      expMonth: 12,
    });
    await cp.rows(
      "update accounts set email_verified = false where id = $1",
      world.buyer.accountId,
    );
    expect(await openCardPage(cp.deps, world.buyer, null)).toMatchObject({
      error: { code: "email_not_verified" },
    });
  });

  test("is of the account's own currency, once that is fixed", async () => {
    expect((await openCardPage(cp.deps, world.buyer, "eur")).ok).toBe(true);
    await anActiveVm(cp, world);
    expect(await openCardPage(cp.deps, world.buyer, "eur")).toMatchObject({
      error: { code: "currency_fixed" },
    });
    const [, , page] = cp.stripe.standIn.store.all("checkout_session");
    expect(page).toBeUndefined();
  });
});

describe("the portal", () => {
  test("may change cards, address, name and tax id, and nothing of what was bought", async () => {
    await openPortal(cp.deps, world.buyer, null);
    await openPortal(cp.deps, world.buyer, null);
    const configurations = cp.stripe.standIn.store.all("portal_configuration");
    expect(configurations).toHaveLength(1);
    expect(configurations[0]?.features).toMatchObject({
      customer_update: { enabled: true, allowed_updates: ["address", "name", "tax_id"] },
      invoice_history: { enabled: true },
      payment_method_update: { enabled: true },
      subscription_cancel: { enabled: false },
      subscription_pause: { enabled: false },
      subscription_update: { enabled: false },
    });
  });

  test("brings subscriptions in line with the card that was chosen there, and pays what is owed", async () => {
    await aVmThatOwes();
    const { url } = valueOf(await openPortal(cp.deps, world.buyer, null));
    expect(await cp.stripe.submit(url, { card: CARD.works })).toBe(303);
    await cp.pump();
    expect(chargedTo(cp)).toEqual({ customer: ["4242"], subscriptions: ["4242"] });
    expect(cp.stripe.standIn.store.all("subscription")).toMatchObject([{ status: "active" }]);
    expect(await audited()).toHaveLength(1);
  });

  test.each([
    { asked: "http://berth.test/account?tab=billing", ok: true },
    { asked: "https://berth.test/account", ok: false },
    { asked: "http://berth.test.evil.example/", ok: false },
    { asked: "http://berth.test@evil.example/", ok: false },
    { asked: "javascript:alert(1)", ok: false },
  ])("leads back to our own pages alone: $asked is $ok", async ({ asked, ok }) => {
    const opened = await openPortal(cp.deps, world.buyer, asked);
    expect(opened).toMatchObject(ok ? { ok } : { error: { code: "return_url_foreign" } });
    const sessions = cp.stripe.standIn.store.all("portal_session");
    expect(sessions.map((session) => session.return_url)).toEqual(ok ? [asked] : []);
  });

  test("opens for another customer where theirs was deleted at the provider", async () => {
    await openPortal(cp.deps, world.buyer, null);
    const [first] = cp.stripe.standIn.store.all("customer");
    await cp.stripe.dashboard.customers.del(first?.id ?? "");
    expect((await openPortal(cp.deps, world.buyer, null)).ok).toBe(true);
    expect((await openCardPage(cp.deps, world.buyer, null)).ok).toBe(true);
    const [second] = cp.stripe.standIn.store.all("customer");
    expect(second?.id).not.toBe(first?.id);
  });
});

test("a card of another system's customer on the same account is nothing to us", async () => {
  const { customers, checkout } = cp.stripe.dashboard;
  const { id: customer } = await customers.create({ email: "else@example.com" });
  const { url } = await checkout.sessions.create({
    mode: "setup",
    customer,
    currency: "usd",
    success_url: "http://x.test",
  });
  await cp.stripe.pay(url);
  await cp.pump();
  expect(chargedTo(cp).customer).toEqual([null]);
  expect(await cp.rows("select outcome from inbox where object_kind = 'checkout.session'")).toEqual(
    [{ outcome: "ignored" }],
  );
});
