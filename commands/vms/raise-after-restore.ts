import { documentNamedBy, raiseAbove } from "#core/hosts/restored.ts";
import { lockServed } from "#db/hosts/hosts.ts";
import { lockAllVmsOf, raiseCounters } from "#db/hosts/restores.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

/**
 * The first time that a host asks for its document after a restore: raises its counters, and those of its VMs, above the
 * document that it holds (`etag`), so that it takes what comes now. Doing it again changes nothing.
 */
export async function raiseAfterRestore(
  deps: Pick<Deps, "db" | "clock" | "ids" | "log">,
  hostId: string,
  etag: string | undefined,
): Promise<void> {
  const at = stamp(deps);
  const held = documentNamedBy(etag);
  const raised = await inTransaction(deps.db, async (tx) => {
    // First the VMs, then their host: as reports do.
    await lockAllVmsOf(tx, hostId);
    const host = await lockServed(tx, hostId);
    if (!host || host.restoredGeneration === null) return null;
    const by = raiseAbove(host.restoredGeneration, host.served, held);
    if (by === "too_far") return by;
    await raiseCounters(tx, hostId, by);
    await recordChange(
      tx,
      {
        actor: { kind: "agent", id: hostId },
        action: "host.raise_counters",
        subject: { kind: "host", id: hostId },
        detail: { by, held_generation: held?.generation ?? null },
        events: [],
      },
      at,
    );
    return by;
  });
  const line = { host_id: hostId, held_generation: held?.generation ?? null };
  if (raised === "too_far") deps.log.error("raise_after_restore.too_far", line);
  else if (raised !== null) deps.log.info("raise_after_restore.raised", { ...line, by: raised });
}
