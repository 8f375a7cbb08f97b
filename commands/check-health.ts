import { unsentBacklog } from "#db/messages/outbox.ts";
import type { Deps } from "./deps.ts";

/** Older than this, an unsent outbox row is an alarm: the relay or a queue is down (invariant 20). */
const UNSENT_ALARM_MS = 2 * 60_000;

/** Whether the database answers, and whether anything is stuck on its way out of it. */
export async function checkHealth(
  deps: Pick<Deps, "db" | "clock">,
): Promise<{ ok: boolean; unsentRows: number; oldestUnsentMs: number }> {
  const backlog = await unsentBacklog(deps.db);
  const oldestUnsentMs = backlog.oldest === null ? 0 : +deps.clock.now() - +backlog.oldest;
  return { ok: oldestUnsentMs < UNSENT_ALARM_MS, unsentRows: backlog.rows, oldestUnsentMs };
}
