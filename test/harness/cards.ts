import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { openCardPage } from "#commands/billing/open-card-page.ts";
import type { ControlPlane } from "./control-plane.ts";
import { CARD } from "./stripe-in-process.ts";
import { valueOf } from "./world.ts";

/** Saved on its page, which nobody has heard of yet. */
export async function aSavedCard(
  cp: ControlPlane,
  buyer: AccountPrincipal,
  card: string = CARD.works,
): Promise<void> {
  const { url } = valueOf(await openCardPage(cp.deps, buyer, null));
  cp.clock.advance(7_000);
  let status = await cp.stripe.pay(url, card);
  if (card === CARD.asks) status = await cp.stripe.submit(url, { authenticate: "succeed" });
  if (status !== 303) throw new Error(`the card was answered with ${status}`);
}

/** A buyer with this card, who was never asked for it. */
export async function aCardOnFile(
  cp: ControlPlane,
  buyer: AccountPrincipal,
  card?: string,
): Promise<void> {
  await aSavedCard(cp, buyer, card);
  await cp.pump();
}

/** What the provider charges: of the customer, and of each subscription that goes on. */
export const chargedTo = (cp: ControlPlane) => {
  const { store } = cp.stripe.standIn;
  const last4 = (method: unknown) =>
    typeof method === "string" ? store.get("payment_method", method)?.card?.last4 : null;
  return {
    customer: store.all("customer").map((c) => last4(c.invoice_settings.default_payment_method)),
    subscriptions: store.all("subscription").map((s) => last4(s.default_payment_method)),
  };
};
