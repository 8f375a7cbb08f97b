import { and, asc, eq, gt, isNotNull, isNull, lte, ne, or, sql } from "drizzle-orm";
import type { NewcomersHolds } from "#core/hosts/newcomers-share.ts";
import { NO_CARD_ON_FILE } from "#core/orders/card-order.ts";
import type { Tx } from "#db/client.ts";
import { locations } from "#db/schema/catalogue.ts";
import { ipAddresses } from "#db/schema/network.ts";
import { orders, reservations } from "#db/schema/orders.ts";

/*
 * What accounts that never paid hold, and the locks under which it is counted. Taken in this order: account (`lockBuyer`),
 * network, location, host; whoever has paid waits for none but his own account's and the host's.
 */

/** When the holds of a newcomer network's unpaid orders end. Its others wait here until this transaction ends. */
export async function lockNetworkHolds(tx: Tx, network: string): Promise<readonly Date[]> {
  // A network has no row. Two that share a number wait for each other, and no harm is done.
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${network}, 0))`);
  const rows = await tx
    .select({ expiresAt: orders.expiresAt })
    .from(orders)
    .where(and(eq(orders.network, network), eq(orders.state, "awaiting_payment")));
  return rows.map((row) => row.expiresAt);
}

/** What newcomers hold in a location. Other newcomers of it wait here until this transaction ends. */
export async function lockNewcomersHolds(
  tx: Tx,
  locationId: string,
): Promise<{ byHost: NewcomersHolds; unpaidUntil: readonly Date[] }> {
  // Not `for update`: an order, or a host, that names the location takes a key share of it, and waits for nobody.
  await tx
    .select({ id: locations.id })
    .from(locations)
    .where(eq(locations.id, locationId))
    .for("no key update");
  const rows = await tx
    .select({
      hostId: reservations.hostId,
      vcpus: reservations.vcpus,
      memoryMib: reservations.memoryMib,
      diskGib: reservations.diskGib,
      expiresAt: orders.expiresAt,
    })
    .from(orders)
    .innerJoin(
      reservations,
      and(eq(reservations.vmId, orders.vmId), isNull(reservations.releasedAt)),
    )
    .where(
      and(
        eq(orders.locationId, locationId),
        eq(orders.state, "awaiting_payment"),
        eq(orders.newcomer, true),
      ),
    );
  const byHost = new Map<
    string,
    { vcpus: number; memoryMib: number; diskGib: number; vms: number }
  >();
  for (const row of rows) {
    const held = byHost.get(row.hostId) ?? { vcpus: 0, memoryMib: 0, diskGib: 0, vms: 0 };
    byHost.set(row.hostId, {
      vcpus: held.vcpus + row.vcpus,
      memoryMib: held.memoryMib + row.memoryMib,
      diskGib: held.diskGib + row.diskGib,
      vms: held.vms + 1,
    });
  }
  return { byHost, unpaidUntil: rows.map((row) => row.expiresAt) };
}

/** How many addresses of the location are free, counted to `most` and no further. */
export async function freeAddressesUpTo(
  tx: Tx,
  locationId: string,
  most: number,
  now: Date,
): Promise<number> {
  const rows = await tx
    .select({ address: ipAddresses.address })
    .from(ipAddresses)
    .where(and(eq(ipAddresses.locationId, locationId), lte(ipAddresses.busyUntil, now)))
    // So that it is the index that is read, whatever the planner thinks of how many are free.
    .orderBy(asc(ipAddresses.busyUntil))
    .limit(most);
  return rows.length;
}

/**
 * When the account's orders that nobody paid ran out, of those placed after `since`. One that never had a page to pay on does
 * not count: the provider was away, and the customer could do nothing.
 */
export async function ranOutSince(
  tx: Tx,
  accountId: string,
  since: Date,
): Promise<readonly Date[]> {
  const rows = await tx
    .select({ expiresAt: orders.expiresAt })
    .from(orders)
    .where(
      and(
        eq(orders.accountId, accountId),
        eq(orders.state, "expired"),
        or(
          isNotNull(orders.checkoutId),
          isNotNull(orders.subscriptionId),
          // A bank that says no again and again is how stolen cards are tried.
          ne(orders.declineCode, NO_CARD_ON_FILE),
        ),
        gt(orders.createdAt, since),
      ),
    );
  return rows.map((row) => row.expiresAt);
}
