import type { UndeliveredPage } from "#core/billing/payments.ts";
import { nextUnread, saveRead } from "#db/hosts/restores.ts";
import type { Deps } from "#commands/deps.ts";
import { storeNew } from "./fetch-missed-events.ts";

/** Of one look, 100 events each: later looks go on where it stopped. */
const MOST_PAGES = 20;

/**
 * Takes in again the provider's events since the state that the database was restored to: they were delivered, and it has
 * forgotten them. Each only rings, as its delivery did; what is true is looked up then. One that is known is passed over.
 *
 * @returns how many were taken in. Throws when the provider or the database cannot be reached.
 */
export async function fetchEventsAgain(
  deps: Pick<Deps, "db" | "clock" | "ids" | "payments" | "queues" | "log">,
): Promise<{ found: number }> {
  const restore = await nextUnread(deps.db);
  if (!restore) return { found: 0 };
  let found = 0;
  let after = restore.eventsAfter;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const page: UndeliveredPage = await deps.payments.eventsSince({
      from: restore.restoredTo,
      before: new Date(+restore.recordedAt + 1000),
      after,
    });
    found += await storeNew(deps, page.events);
    after = page.next;
    await saveRead(deps.db, restore.id, {
      eventsAfter: after,
      ...(after === null ? { eventsReadAt: deps.clock.now() } : {}),
    });
    if (after === null) break;
  }
  return { found };
}
