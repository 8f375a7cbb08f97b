import type { UndeliveredPage } from "#core/billing/payments.ts";
import { ringingFor } from "#core/billing/rings.ts";
import { BILLING_QUEUES } from "#core/ports.ts";
import { knownDeliveries, storeDeliveries } from "#db/messages/inbox.ts";
import { stamp, type Deps } from "#commands/deps.ts";

type LookDeps = Pick<Deps, "db" | "clock" | "ids" | "payments" | "queues" | "log">;
type Span = Readonly<{ from: Date; before: Date }>;

const MINUTE_MS = 60_000;
/** Younger events are still on their way to the webhook, or it is being tried again. */
const YOUNG_MS = 5 * MINUTE_MS;
/** Stripe forgets events after 30 days. */
const KEPT_MS = 30 * 24 * 60 * MINUTE_MS;
/** The days that Stripe keeps, cut into parts of four hours: one a minute, so all of them in three hours. */
const PARTS = 180;
/** Of one span in one look: later looks go on. */
const MOST_TAKEN = 1000;
const MOST_PAGES = 50;

/**
 * Takes in the provider's events whose deliveries have all failed: while our endpoint is away Stripe gives up after
 * three days, and a renewal that nobody told us of would stop a VM that is paid. Each is stored as its delivery would
 * have been, and is applied once, whatever comes of the delivery later.
 *
 * What we took in stays undelivered to Stripe for 30 days, in front of what is older. So each look takes the newest
 * until it meets a page that it knows, and one part of the 30 days to its end, each minute another one. That is two
 * calls a minute while little is undelivered, and 50 at the most for a part that holds 5,000. One that holds more is
 * not read to its end, and the log says so.
 *
 * @returns how many were taken in. Throws when the provider or the database cannot be reached.
 */
export async function fetchMissedEvents(deps: LookDeps): Promise<{ found: number }> {
  const now = deps.clock.now();
  const before = new Date(+now - YOUNG_MS);
  const newest = await takeIn(deps, { from: new Date(+now - KEPT_MS), before }, "until_known");
  const rest = await takeIn(deps, partOf(before, now), "to_the_end");
  return { found: newest + rest };
}

/** The part whose turn it is in this minute. */
function partOf(before: Date, now: Date): Span {
  const part = Math.floor(+now / MINUTE_MS) % PARTS;
  const end = +before - (part * KEPT_MS) / PARTS;
  return { from: new Date(end - KEPT_MS / PARTS), before: new Date(end) };
}

/** Takes in what is new of a span, a page at a time, the newest first: an event only rings, so its place is all one. */
async function takeIn(
  deps: LookDeps,
  span: Span,
  how: "until_known" | "to_the_end",
): Promise<number> {
  let taken = 0;
  let after: string | null = null;
  for (let pages = 0; taken < MOST_TAKEN; pages++) {
    if (pages === MOST_PAGES) {
      deps.log.error("fetch_missed_events.too_many", { before: span.before.toISOString() });
      break;
    }
    const page: UndeliveredPage = await deps.payments.undeliveredEvents({ ...span, after });
    const found = await storeNew(deps, page.events);
    taken += found;
    if (page.next === null || (how === "until_known" && found === 0)) break;
    after = page.next;
  }
  return taken;
}

/** Stores those that are not stored yet, and rings for them. @returns how many they are. */
export async function storeNew(deps: LookDeps, missed: UndeliveredPage["events"]): Promise<number> {
  const known = await knownDeliveries(
    deps.db,
    missed.map(({ event }) => event.id),
  );
  const { now: receivedAt, newId } = stamp(deps);
  const unknown = missed
    .filter(({ event }) => !known.has(event.id))
    .map((each) => ({
      ...each,
      receivedAt,
      queue: ringingFor(each.event).queue,
      mailId: newId(),
    }));
  await storeDeliveries(deps.db, unknown);
  for (const queue of BILLING_QUEUES)
    await deps.queues.send(
      queue,
      unknown
        .filter((each) => each.queue === queue)
        .map(({ event }) => ({ source: "stripe", messageId: event.id })),
    );
  return unknown.length;
}
