import { randomUUID } from "node:crypto";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { systemClock } from "#adapters/clock.ts";
import { createSessionCookies } from "#adapters/session-cookies.ts";
import { createAccounts } from "#commands/accounts/check-access.ts";
import type { Deps } from "#commands/deps.ts";
import { UNPAID_LIMITS } from "#core/orders/unpaid-limits.ts";
import { migrateDatabase } from "#db/migrate.ts";
import { openPool } from "#db/open-pool.ts";
import { accounts } from "#db/schema/accounts.ts";
import { seedCatalogue } from "./seed.ts";
import type { Stack } from "./stack.ts";

/** The product on a database of its own, beside others on one Postgres, with the limits that it has in production. */
export type Fleet = Readonly<{
  ownerUrl: string;
  deps: Deps;
  locationId: string;
  customerId: string;
  staffId: string;
  close: () => Promise<void>;
}>;

export async function openFleet(stack: Stack, name: string): Promise<Fleet> {
  const admin = new pg.Client({ connectionString: stack.ownerUrl });
  await admin.connect();
  await admin.query(`create database ${admin.escapeIdentifier(name)}`);
  await admin.end();
  const inIt = (connectionString: string) => {
    const url = new URL(connectionString);
    url.pathname = `/${name}`;
    return url.href;
  };
  const ownerUrl = inIt(stack.ownerUrl);
  await migrateDatabase(ownerUrl);
  const pool = openPool({ connectionString: inIt(stack.databaseUrl), max: 4 }, () => undefined);
  const db = drizzle(pool);
  const cookies = createSessionCookies({ secret: randomUUID(), secure: false });
  const deps: Deps = {
    ...stack.deps,
    db,
    accounts: createAccounts({ ...stack.deps, db, sessionClock: systemClock, cookies }),
    settings: { ...stack.deps.settings, unpaidLimits: UNPAID_LIMITS },
  };
  const { locationId } = await seedCatalogue(deps);
  const customerId = await anAccount(deps, "customer");
  const staffId = await anAccount(deps, "staff");
  return { ownerUrl, deps, locationId, customerId, staffId, close: () => pool.end() };
}

/** Whose address is proven, and who never paid. */
export async function anAccount(deps: Deps, role: "customer" | "staff"): Promise<string> {
  const id = randomUUID();
  const email = `${id}@example.test`;
  const now = deps.clock.now();
  await deps.db.insert(accounts).values({
    id,
    email,
    name: "Bench",
    role,
    staffRole: role === "staff" ? "owner" : null,
    emailVerified: true,
    createdAt: now,
    updatedAt: now,
  });
  return id;
}
