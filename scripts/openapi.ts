/**
 * Writes docs/openapi.json from the routes (`npm run openapi`); with `--check` it only tells whether the file is
 * true. Needs no database and no network: the routes' shapes are read, and none of them is called.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import type { Deps } from "#commands/deps.ts";
import { createApi } from "#functions/app.ts";
import { documentOf } from "#functions/document.ts";

const file = path.resolve(import.meta.dirname, "../docs/openapi.json");
const made = `${JSON.stringify(documentOf(createApi(uncallable())), null, 2)}\n`;

if (!process.argv.includes("--check")) {
  writeFileSync(file, made);
  process.stdout.write(`wrote ${path.relative(process.cwd(), file)}\n`);
} else if (made !== present()) {
  process.stderr.write(
    `docs/openapi.json is not what the routes say${firstDifference(made, present())}; run npm run openapi\n`,
  );
  process.exitCode = 1;
}

function present(): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function firstDifference(now: string, before: string): string {
  const was = before.split("\n");
  const at = now.split("\n").findIndex((line, n) => line !== was[n]);
  return at < 0
    ? ""
    : ` (line ${at + 1}: ${now.split("\n")[at]?.trim()}, not ${was[at]?.trim() ?? "its end"})`;
}

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
    payments: {
      ensureCustomer: never,
      ensurePrice: never,
      createCheckout: never,
      fetchCheckout: never,
      expireCheckout: never,
      fetchSubscription: never,
      fetchInvoice: never,
      cancelSubscription: never,
      orderOfPayment: never,
      fetchRefund: never,
      refundInvoice: never,
      undeliveredEvents: never,
      verifyWebhook: never,
    },
    queues: { send: never, ring: never, ensureHostQueue: never },
    accounts: {
      authenticate: never,
      createToken: never,
      listTokens: never,
      revokeToken: never,
    },
    hostCredentials: { forQueue: never },
    settings: {
      publicUrl: "http://localhost",
      intervals: { resyncSeconds: 60, usageSampleSeconds: 60, usageFlushSeconds: 300 },
    },
  };
}
