import { BILLING_QUEUES } from "#core/ports.ts";
import { takeUnapplied } from "#db/messages/inbox.ts";
import type { Deps } from "#commands/deps.ts";

/** Younger deliveries are still on their way through the queue. */
const YOUNG_MS = 60_000;

/** Rings again for deliveries that nobody has applied: their ring was lost, or their worker died. */
export async function retryInbox(deps: Pick<Deps, "db" | "clock" | "queues">): Promise<number> {
  const now = deps.clock.now();
  const before = new Date(+now - YOUNG_MS);
  let rung = 0;
  for (const queue of BILLING_QUEUES) {
    const ids = await takeUnapplied(deps.db, { queue, now, before, limit: 100 });
    await deps.queues.send(
      queue,
      ids.map((messageId) => ({ source: "stripe", messageId })),
    );
    rung += ids.length;
  }
  return rung;
}
