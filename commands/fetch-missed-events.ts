import { knownDeliveries, storeDelivery } from "#db/inbox.ts";
import type { Deps } from "./deps.ts";

/** Younger events are still on their way to the webhook, or it is being tried again. */
const YOUNG_MS = 5 * 60_000;

/**
 * Takes in the provider's events whose deliveries have all failed: while our endpoint is away Stripe gives up after
 * three days, and a renewal that nobody told us of would stop a VM that is paid. Each is stored as its delivery would
 * have been, and is applied once, whatever comes of the delivery later.
 *
 * @returns how many were taken in. Throws when the provider or the database cannot be reached.
 */
export async function fetchMissedEvents(
  deps: Pick<Deps, "db" | "clock" | "payments" | "queues">,
): Promise<{ found: number }> {
  const missed = await deps.payments.undeliveredEvents(new Date(+deps.clock.now() - YOUNG_MS));
  const known = await knownDeliveries(
    deps.db,
    missed.map(({ event }) => event.id),
  );
  const unknown = missed.filter(({ event }) => !known.has(event.id));
  for (const { event, body } of unknown)
    await storeDelivery(deps.db, event, body, deps.clock.now());
  await deps.queues.send(
    "billing-events",
    unknown.map(({ event }) => ({ source: "stripe", messageId: event.id })),
  );
  return { found: unknown.length };
}
