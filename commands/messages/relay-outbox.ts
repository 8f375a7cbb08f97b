import { EVENT_ROUTE } from "#core/contracts/events.ts";
import { loadBell, setQueueUrl } from "#db/hosts/hosts.ts";
import { markSent, takeUnsent, type OutboxRow } from "#db/messages/outbox.ts";
import type { Deps } from "#commands/deps.ts";

const BATCH = 100;
/** Longer than any send takes; after it another relay may take the rows. */
const LEASE_MS = 30_000;

type Relay = Pick<Deps, "db" | "clock" | "queues" | "log">;

/**
 * Takes unsent outbox rows and rings what they name: hosts' doorbells (one ring for each host, with its document's
 * present generation) and the queue of work. Called after each commit, and by a sweep that catches what a crash left.
 * Whatever cannot be sent stays unsent, and another pass takes it when its lease has ended.
 *
 * @returns how many rows were sent, and how many failed.
 */
export async function relayOutbox(deps: Relay): Promise<{ sent: number; failed: number }> {
  const total = { sent: 0, failed: 0 };
  for (;;) {
    const batch = await relayBatch(deps);
    total.sent += batch.sent;
    total.failed += batch.failed;
    if (batch.taken < BATCH) return total;
  }
}

/**
 * Rings after a commit, inside the request that made it: one batch and no more, and whatever goes wrong is logged,
 * since what was committed is done. The sweep relays the rest.
 */
export async function ringNow(deps: Relay): Promise<void> {
  try {
    await relayBatch(deps);
  } catch (error) {
    deps.log.error("relay_outbox.broke_off", { error });
  }
}

async function relayBatch(deps: Relay): Promise<{ taken: number; sent: number; failed: number }> {
  const now = deps.clock.now();
  const rows = await takeUnsent(deps.db, {
    limit: BATCH,
    now,
    leaseUntil: new Date(+now + LEASE_MS),
  });
  if (rows.length === 0) return { taken: 0, sent: 0, failed: 0 };
  let failed = 0;
  const sent: bigint[] = [];
  for (const group of groupByTarget(rows)) {
    try {
      await send(deps, group);
      sent.push(...group.map((r) => r.seq));
    } catch (error) {
      failed += group.length;
      deps.log.error("relay_outbox.failed", { event: group[0]?.event.name, error });
    }
  }
  await markSent(deps.db, sent, deps.clock.now());
  return { taken: rows.length, sent: sent.length, failed };
}

function groupByTarget(rows: readonly OutboxRow[]): readonly OutboxRow[][] {
  const groups = new Map<string, OutboxRow[]>();
  for (const row of rows) {
    const route = EVENT_ROUTE[row.event.name];
    const target =
      row.event.name === "vm.change_requested.v1" ? `${route}:${row.event.data.hostId}` : route;
    groups.set(target, [...(groups.get(target) ?? []), row]);
  }
  return [...groups.values()];
}

async function send(deps: Pick<Deps, "db" | "queues">, group: readonly OutboxRow[]): Promise<void> {
  const first = group[0];
  if (!first) return;
  switch (EVENT_ROUTE[first.event.name]) {
    case "record": // written as sent; never taken
      return;
    case "work":
      await deps.queues.send(
        "outbox-events",
        group.map((r) => ({ id: r.id, ...r.event })),
      );
      return;
    case "doorbell": {
      if (first.event.name === "vm.change_requested.v1")
        await ringHost(deps, first.event.data.hostId);
    }
  }
}

async function ringHost(deps: Pick<Deps, "db" | "queues">, hostId: string): Promise<void> {
  const bell = await loadBell(deps.db, hostId);
  if (!bell) return;
  let { queueUrl } = bell;
  if (queueUrl === null) {
    queueUrl = await deps.queues.ensureHostQueue(hostId);
    await setQueueUrl(deps.db, hostId, queueUrl);
  }
  await deps.queues.ring(queueUrl, { hostId, generation: bell.generation });
}
