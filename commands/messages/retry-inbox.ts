import { takeUnapplied } from "#db/messages/inbox.ts";
import type { Deps } from "#commands/deps.ts";

/** Younger deliveries are still on their way through the queue. */
const YOUNG_MS = 60_000;

/** Rings again for deliveries that nobody has applied: their ring was lost, or their worker died. */
export async function retryInbox(deps: Pick<Deps, "db" | "clock" | "queues">): Promise<number> {
  const now = deps.clock.now();
  const before = new Date(+now - YOUNG_MS);
  const ids = await takeUnapplied(deps.db, { now, before, limit: 100 });
  await deps.queues.send(
    "billing-events",
    ids.map((messageId) => ({ source: "stripe", messageId })),
  );
  return ids.length;
}
