import { trustedCapacity, type Ceiling } from "#core/hosts/capacity.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { factsOf, lockHost, saveCeiling, type Host } from "#db/hosts/hosts.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

type Changed = Result<Host, Refusal<"host_not_found" | "host_wrong_state">>;

/**
 * Staff's ceiling of what a host may give away: nothing else raises it. What a lower one leaves out stays given away; the
 * host only gets nothing more.
 */
export async function changeHost(
  deps: Deps,
  by: Actor,
  hostId: string,
  change: { ceiling: { [K in keyof Ceiling]?: Ceiling[K] | undefined } },
): Promise<Changed> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Changed> => {
    const host = await lockHost(tx, hostId);
    if (!host) return refuse("host_not_found", "no such host");
    if (host.state === "retired") return refuse("host_wrong_state", "this host is retired");
    const ceiling: Ceiling = {
      vcpus: change.ceiling.vcpus ?? host.ceiling.vcpus,
      memoryMib: change.ceiling.memoryMib ?? host.ceiling.memoryMib,
      diskGib: change.ceiling.diskGib ?? host.ceiling.diskGib,
    };
    if (JSON.stringify(ceiling) === JSON.stringify(host.ceiling)) return ok(host);
    const facts = factsOf(host);
    const capacity = facts && trustedCapacity(facts, { ...host, ceiling });
    const changed = await saveCeiling(tx, hostId, ceiling, capacity);
    await recordChange(
      tx,
      {
        actor: by,
        action: "host.set_ceiling",
        subject: { kind: "host", id: hostId },
        detail: { from: told(host.ceiling), to: told(ceiling) },
        events: [],
      },
      at,
    );
    return ok(changed);
  });
}

const told = (c: Ceiling): string => `${c.vcpus} vCPUs, ${c.memoryMib} MiB, ${c.diskGib} GiB`;
