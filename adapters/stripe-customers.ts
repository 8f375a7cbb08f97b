import type Stripe from "stripe";
import type { Customers } from "#core/billing/customers.ts";
import { isMissing } from "./stripe-outages.ts";

/** What Stripe knows of a customer of ours. */
export const createCustomers = (stripe: Stripe): Customers => ({
  tellEmail: async (customerId, email) => {
    try {
      // It asks for a state: the key that the client draws for its own tries is enough.
      await stripe.customers.update(customerId, { email });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  },
});
