import { unappliedDeliveries } from "#db/inbox.ts";
import type { Deps } from "./deps.ts";

/** Younger deliveries are still on their way through the queue. */
const YOUNG_MS = 60_000;

/** Rings again for deliveries that nobody has applied: their ring was lost, or their worker died. */
export async function retryInbox(deps: Pick<Deps, "db" | "clock" | "queues">): Promise<number> {
  const before = new Date(+deps.clock.now() - YOUNG_MS);
  const ids = await unappliedDeliveries(deps.db, before, 100);
  await deps.queues.send(
    "billing-events",
    ids.map((messageId) => ({ source: "stripe", messageId })),
  );
  return ids.length;
}
