import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import type { Deps } from "#commands/deps.ts";
import { createApi } from "#functions/app.ts";
import { documentOf } from "#functions/document.ts";

/**
 * The API as its routes describe it. Needs no database and no network: the routes' shapes are read, and none of them is
 * called.
 */
export const describedApi = () => createApi(uncallable());

/** What docs/openapi.json is to hold, from the routes as they are. */
export const openapiText = (api: ReturnType<typeof describedApi>): string =>
  `${JSON.stringify(documentOf(api), null, 2)}\n`;

/** Everything the API stands on, none of which answers. The pool connects at its first query, and there is none. */
function uncallable(): Deps {
  const never = (): never => {
    throw new Error("the OpenAPI document is made without calling anything");
  };
  return {
    db: drizzle(new pg.Pool({ host: "127.0.0.1", port: 1 })),
    clock: { now: () => new Date(0), sleep: never },
    ids: { newId: never },
    secrets: { newSecret: never },
    sealer: { seal: never, open: never },
    log: { info: never, error: never },
    metrics: { count: never, set: never, observe: never },
    payments: {
      ensureCustomer: never,
      ensurePrice: never,
      listPrices: never,
      setPriceActive: never,
      changeProduct: never,
      createCheckout: never,
      fetchCheckout: never,
      checkoutOf: never,
      expireCheckout: never,
      fetchSubscription: never,
      fetchInvoice: never,
      cancelSubscription: never,
      askedWith: never,
      voidInvoice: never,
      setCollection: never,
      pauseCollection: never,
      endWithPeriod: never,
      resumeCollection: never,
      paidPeriod: never,
      paidPeriods: never,
      giveCredit: never,
      refundPart: never,
      paidWith: never,
      fetchRefund: never,
      refundInvoice: never,
      undeliveredEvents: never,
      eventsSince: never,
      fetchBilled: never,
      previewChange: never,
      changePrice: never,
      fetchChange: never,
      dropChange: never,
      undoChange: never,
      changePaidByPage: never,
      createCardPage: never,
      fetchCardPage: never,
      markCardTaken: never,
      fetchPayer: never,
      chooseCard: never,
      chargeTo: never,
      owedBy: never,
      payWithCard: never,
      createPortal: never,
      tellEmail: never,
      startByCard: never,
      startedFor: never,
      fetchStarted: never,
      endStarted: never,
      returnCredit: never,
      verifyWebhook: never,
    },
    mail: { send: never },
    queues: { send: never, ring: never, ensureHostQueue: never },
    accounts: {
      authenticate: never,
      createToken: never,
      newSession: never,
      listTokens: never,
      revokeToken: never,
      revokeAllTokens: never,
    },
    settings: {
      publicUrl: "http://localhost",
      intervals: { resyncSeconds: 60, usageSampleSeconds: 60, usageFlushSeconds: 300 },
    },
  };
}
