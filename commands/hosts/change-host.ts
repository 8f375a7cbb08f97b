import { trustedCapacity, type Ceiling } from "#core/hosts/capacity.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Tx } from "#db/client.ts";
import { factsOf, lockHost, saveCeiling, saveGroup, type Host } from "#db/hosts/hosts.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

type Changed = Result<Host, Refusal<"host_not_found" | "host_wrong_state">>;

/**
 * Staff's group of a host, and their ceiling of what it may give away: nothing else raises that. What a lower one leaves out stays given away; the
 * host only gets nothing more.
 */
export async function changeHost(
  deps: Deps,
  by: Actor,
  hostId: string,
  change: {
    ceiling?: { [K in keyof Ceiling]?: Ceiling[K] | undefined } | undefined;
    group?: string | null | undefined;
  },
): Promise<Changed> {
  const at = stamp(deps);
  return inTransaction(deps.db, async (tx): Promise<Changed> => {
    const host = await lockHost(tx, hostId);
    if (!host) return refuse("host_not_found", "no such host");
    if (host.state === "retired") return refuse("host_wrong_state", "this host is retired");
    const grouped =
      change.group === undefined ? host : await setGroup(tx, by, host, change.group, at);
    return ok(change.ceiling ? await setCeiling(tx, by, grouped, change.ceiling, at) : grouped);
  });
}

type At = { now: Date; newId: () => string };

async function setGroup(
  tx: Tx,
  by: Actor,
  host: Host,
  group: string | null,
  at: At,
): Promise<Host> {
  if (group === host.group) return host;
  const changed = await saveGroup(tx, host.id, group);
  await recordChange(
    tx,
    {
      actor: by,
      action: "host.set_group",
      subject: { kind: "host", id: host.id },
      detail: { from: host.group, to: group },
      events: [],
    },
    at,
  );
  return changed;
}

async function setCeiling(
  tx: Tx,
  by: Actor,
  host: Host,
  change: { [K in keyof Ceiling]?: Ceiling[K] | undefined },
  at: At,
): Promise<Host> {
  const ceiling: Ceiling = {
    vcpus: change.vcpus ?? host.ceiling.vcpus,
    memoryMib: change.memoryMib ?? host.ceiling.memoryMib,
    diskGib: change.diskGib ?? host.ceiling.diskGib,
  };
  if (JSON.stringify(ceiling) === JSON.stringify(host.ceiling)) return host;
  const facts = factsOf(host);
  const capacity = facts && trustedCapacity(facts, { ...host, ceiling });
  const changed = await saveCeiling(tx, host.id, ceiling, capacity);
  await recordChange(
    tx,
    {
      actor: by,
      action: "host.set_ceiling",
      subject: { kind: "host", id: host.id },
      detail: { from: told(host.ceiling), to: told(ceiling) },
      events: [],
    },
    at,
  );
  return changed;
}

const told = (c: Ceiling): string => `${c.vcpus} vCPUs, ${c.memoryMib} MiB, ${c.diskGib} GiB`;
