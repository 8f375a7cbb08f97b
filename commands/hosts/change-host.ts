import { trustedCapacity, type Ceiling } from "#core/hosts/capacity.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Tx } from "#db/client.ts";
import {
  factsOf,
  lockHost,
  saveCeiling,
  saveStaffsWordOfHost,
  type Host,
} from "#db/hosts/hosts.ts";
import { recordChange, recordChanges, type Actor } from "#db/record-change.ts";
import { violates } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";

type Changed = Result<
  Host,
  Refusal<"host_not_found" | "host_wrong_state" | "host_not_empty" | "name_taken">
>;

/**
 * Staff's word on a host: what it is called, its group, its mark for tests, and what it may give away, by their ceiling and their
 * overcommit: nothing else raises that. What a lower one leaves out stays given away; the host only gets nothing more. The mark
 * for tests changes while nothing has room on it: by it guests are let to be emulated, and what shows them is believed.
 */
export async function changeHost(
  deps: Deps,
  by: Actor,
  hostId: string,
  change: {
    ceiling?: { [K in keyof Ceiling]?: Ceiling[K] | undefined } | undefined;
    cpuOvercommit?: number | undefined;
    group?: string | null | undefined;
    name?: string | undefined;
    testOnly?: boolean | undefined;
  },
): Promise<Changed> {
  const at = stamp(deps);
  return undoOnRefusal(deps.db, async (tx): Promise<Changed> => {
    const host = await lockHost(tx, hostId);
    if (!host) return refuse("host_not_found", "no such host");
    if (host.state === "retired") return refuse("host_wrong_state", "this host is retired");
    const { group = host.group, name = host.name, testOnly = host.testOnly } = change;
    if (testOnly !== host.testOnly && host.allocated.vms > 0)
      return refuse(
        "host_not_empty",
        "its mark for tests changes only while nothing has room on it",
      );
    let now = host;
    if (group !== host.group) now = await set(tx, by, now, "group", group, at);
    if (name !== host.name) now = await set(tx, by, now, "name", name, at);
    if (testOnly !== host.testOnly) now = await set(tx, by, now, "testOnly", testOnly, at);
    return ok(await setRoom(tx, by, now, change, at));
  }).catch((error: unknown) => {
    if (violates(error, "hosts_name_key"))
      return refuse("name_taken", `a host named ${change.name} exists`);
    throw error;
  });
}

type At = { now: Date; newId: () => string };

const AUDITED = {
  group: "host.set_group",
  name: "host.set_name",
  testOnly: "host.set_test_mark",
} as const;

async function set<K extends keyof typeof AUDITED>(
  tx: Tx,
  by: Actor,
  host: Host,
  what: K,
  to: Host[K],
  at: At,
): Promise<Host> {
  const changed = await saveStaffsWordOfHost(tx, host.id, { [what]: to });
  await recordChange(
    tx,
    {
      actor: by,
      action: AUDITED[what],
      subject: { kind: "host", id: host.id },
      detail: { from: host[what], to },
      events: [],
    },
    at,
  );
  return changed;
}

async function setRoom(
  tx: Tx,
  by: Actor,
  host: Host,
  change: {
    ceiling?: { [K in keyof Ceiling]?: Ceiling[K] | undefined } | undefined;
    cpuOvercommit?: number | undefined;
  },
  at: At,
): Promise<Host> {
  const to = {
    cpuOvercommit: change.cpuOvercommit ?? host.cpuOvercommit,
    ceiling: {
      vcpus: change.ceiling?.vcpus ?? host.ceiling.vcpus,
      memoryMib: change.ceiling?.memoryMib ?? host.ceiling.memoryMib,
      diskGib: change.ceiling?.diskGib ?? host.ceiling.diskGib,
    },
  };
  const changes = [
    { action: "host.set_ceiling", from: told(host.ceiling), to: told(to.ceiling) },
    { action: "host.set_overcommit", from: host.cpuOvercommit, to: to.cpuOvercommit },
  ].filter((change) => change.from !== change.to);
  if (changes.length === 0) return host;
  const facts = factsOf(host);
  const changed = await saveCeiling(tx, host.id, to, facts && trustedCapacity(facts, to));
  await recordChanges(
    tx,
    changes.map(({ action, ...detail }) => ({
      actor: by,
      action,
      subject: { kind: "host", id: host.id },
      detail,
      events: [],
    })),
    at,
  );
  return changed;
}

const told = (c: Ceiling): string => `${c.vcpus} vCPUs, ${c.memoryMib} MiB, ${c.diskGib} GiB`;
