import { createHash } from "node:crypto";
import { ENTITLEMENT_GRACE_MS } from "#core/billing/entitlement.ts";
import type { DesiredDocument } from "#core/contracts/agent.ts";
import { canonicalJson } from "#core/contracts/canonical-json.ts";
import { inTransaction } from "#db/transaction.ts";
import { desiredOfHost } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";

export type DesiredAnswer =
  | { kind: "unchanged"; etag: string }
  | { kind: "document"; etag: string; document: DesiredDocument };

/**
 * Idle polls are answered from memory for this part of the resync interval, so that agents that wait do not touch
 * the database (facts/aws). It is also the most that a lost doorbell costs beyond the interval itself.
 */
const FRESH_PART = 1 / 4;
const MOST_HOSTS_REMEMBERED = 5_000;

/**
 * Makes the reader of desired documents. It remembers each host's last ETag for a few seconds: a poll that has
 * that one is answered without the database, unless a doorbell named a later generation (`atLeast`).
 */
export function createDesiredReader(deps: Pick<Deps, "db" | "clock" | "settings">) {
  const freshMs = deps.settings.intervals.resyncSeconds * 1000 * FRESH_PART;
  const known = new Map<string, { etag: string; generation: number; at: number }>();
  return async (
    hostId: string,
    poll: { etag: string | undefined; atLeast: number },
  ): Promise<DesiredAnswer> => {
    const now = +deps.clock.now();
    const last = known.get(hostId);
    if (
      last &&
      poll.etag === last.etag &&
      last.generation >= poll.atLeast &&
      now - last.at < freshMs
    )
      return { kind: "unchanged", etag: last.etag };
    const document = await loadDesired(deps, hostId);
    const etag = `"${document.generation}-${document.hash}"`;
    known.delete(hostId);
    known.set(hostId, { etag, generation: document.generation, at: now });
    const oldest = known.keys().next();
    if (known.size > MOST_HOSTS_REMEMBERED && !oldest.done) known.delete(oldest.value);
    return poll.etag === etag ? { kind: "unchanged", etag } : { kind: "document", etag, document };
  };
}

async function loadDesired(deps: Pick<Deps, "db">, hostId: string): Promise<DesiredDocument> {
  const desired = await inTransaction(deps.db, (tx) => desiredOfHost(tx, hostId), {
    isolationLevel: "repeatable read",
    accessMode: "read only",
  });
  if (!desired) throw new Error(`host ${hostId} vanished`);
  const vms = [...desired.vms];
  return {
    hostId,
    generation: desired.generation,
    hash: createHash("sha256").update(canonicalJson(vms)).digest("hex"),
    entitlementGraceSeconds: ENTITLEMENT_GRACE_MS / 1000,
    vms,
  };
}
