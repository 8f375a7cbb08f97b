import { createHash } from "node:crypto";
import { documentInProtocol1, vmsInProtocol1 } from "#core/contracts/agent/protocol-1.ts";
import type { Announced } from "#core/contracts/agent/protocol.ts";
import type { DesiredDocument, DesiredVm } from "#core/contracts/agent/desired.ts";
import { canonicalJson } from "#core/contracts/canonical-json.ts";
import {
  bumpDesiredGeneration,
  loadServed,
  lockServed,
  saveServed,
  type Served,
} from "#db/hosts/hosts.ts";
import { areDestroysHeld, withoutDestroy } from "#core/hosts/restored.ts";
import type { Db, Tx } from "#db/client.ts";
import { inTransaction } from "#db/transaction.ts";
import { desiredVmsOf } from "#db/vms/vms.ts";
import { sealedAs } from "#core/moves/move.ts";
import type { Deps } from "#commands/deps.ts";
import { raiseAfterRestore } from "./raise-after-restore.ts";
import { renderDesired } from "./render-desired.ts";

export type DesiredAnswer =
  | { kind: "unchanged"; etag: string }
  | { kind: "document"; etag: string; document: DesiredDocument };

type Poll = Readonly<{ etag: string | undefined; atLeast: number; announced: Announced }>;

/**
 * Idle polls are answered from memory for this part of the resync interval, so that agents that wait do not touch
 * the database (facts/aws). It is also the most that a lost doorbell costs beyond the interval itself.
 */
const FRESH_PART = 1 / 4;
const MOST_HOSTS_REMEMBERED = 5_000;

/**
 * Makes the reader of desired documents. It remembers each host's last ETag for a few seconds: a poll that has
 * that one is answered without the database, unless a doorbell named a later generation (`atLeast`), or the agent
 * announces something else than it did: one that was upgraded in place must get what is rendered for it now.
 */
export function createDesiredReader(
  deps: Pick<Deps, "db" | "clock" | "ids" | "settings" | "log" | "sealer">,
) {
  const freshMs = deps.settings.intervals.resyncSeconds * 1000 * FRESH_PART;
  const known = new Map<string, { etag: string; generation: number; at: number; for: string }>();
  return async (hostId: string, poll: Poll): Promise<DesiredAnswer> => {
    const now = +deps.clock.now();
    const announced = JSON.stringify(poll.announced);
    const last = known.get(hostId);
    if (
      last &&
      poll.etag === last.etag &&
      last.for === announced &&
      last.generation >= poll.atLeast &&
      now - last.at < freshMs
    )
      return { kind: "unchanged", etag: last.etag };
    const document = await loadDesired(deps, hostId, poll);
    const etag = `"${document.generation}-${document.hash}"`;
    known.delete(hostId);
    known.set(hostId, { etag, generation: document.generation, at: now, for: announced });
    const oldest = known.keys().next();
    if (known.size > MOST_HOSTS_REMEMBERED && !oldest.done) known.delete(oldest.value);
    return poll.etag === etag ? { kind: "unchanged", etag } : { kind: "document", etag, document };
  };
}

/**
 * What the host is served is written down by its hash. So a generation stands for one content, whatever changes it: a
 * command that forgot to raise the generation, staff who change a plan or an image, a deploy that renders a field more, an
 * agent that announces more than the one before it.
 */
async function loadDesired(
  deps: Pick<Deps, "db" | "clock" | "ids" | "log" | "sealer">,
  hostId: string,
  poll: Poll,
): Promise<DesiredDocument> {
  const { announced, etag } = poll;
  // What a doorbell named was hardly ever served yet: a look whether it was would be one look more.
  const rung = poll.atLeast > 0 ? await serve(deps, hostId, announced, "unless_restored") : null;
  if (rung) return rung;
  const first = foundOf(await loadServed(deps.db, hostId), hostId);
  const isRestored = first.restoredGeneration !== null;
  if (isRestored) await raiseAfterRestore(deps, hostId, etag);
  const before = isRestored ? foundOf(await loadServed(deps.db, hostId), hostId) : first;
  // A generation that was not served yet is written down in any case: that reads everything once, and once is enough.
  if (before.served?.generation === before.generation) {
    // In no transaction: what was changed between its statements has not the hash that was served.
    const vms = await read(deps, deps.db, hostId, before);
    const document = documentFor(announced, hostId, { ...before, vms });
    if (isServed(before, document)) return document;
  }
  const served = await serve(deps, hostId, announced, "in_any_case");
  if (!served) throw new Error(`host ${hostId} was not served in any case`);
  return served;
}

/** Reads the document and writes down that it is served. null: the host's database was restored, and its counters may have to be raised first. */
async function serve(
  deps: Pick<Deps, "db" | "clock" | "log" | "sealer">,
  hostId: string,
  announced: Announced,
  when: "in_any_case" | "unless_restored",
): Promise<DesiredDocument | null> {
  // Under the host's row no command can finish that raises its generation (all do so last): what is read is whole.
  return inTransaction(deps.db, async (tx) => {
    const locked = foundOf(await lockServed(tx, hostId), hostId);
    if (when === "unless_restored" && locked.restoredGeneration !== null) return null;
    const vms = await read(deps, tx, hostId, locked);
    let current = documentFor(announced, hostId, { ...locked, vms });
    if (isServed(locked, current)) return current;
    if (locked.served?.generation === locked.generation) {
      const generation = await bumpDesiredGeneration(tx, hostId);
      deps.log.info("desired.generation_raised", { host_id: hostId, generation });
      current = { ...current, generation };
    }
    await saveServed(tx, hostId, current);
    return current;
  });
}

async function read(
  { clock, sealer }: Pick<Deps, "clock" | "sealer">,
  db: Db | Tx,
  hostId: string,
  served: Served,
) {
  const openKey = (sealed: string, moveId: string) => sealer.open(sealed, sealedAs(moveId));
  const vms = await desiredVmsOf(db, hostId, openKey);
  return areDestroysHeld(served, clock.now()) ? vms.map(withoutDestroy) : vms;
}

function foundOf(served: Served | undefined, hostId: string): Served {
  if (!served) throw new Error(`host ${hostId} vanished`);
  return served;
}

const isServed = ({ served }: Served, document: DesiredDocument): boolean =>
  served?.generation === document.generation && served.hash === document.hash;

function documentFor(announced: Announced, hostId: string, desired: Desired): DesiredDocument {
  const whole = renderDesired(hostId, desired);
  if (announced.protocol > 1) return { ...whole, hash: hashOf(whole.vms) };
  const vms = vmsInProtocol1(whole.vms);
  return documentInProtocol1(whole, vms, hashOf(vms));
}

type Desired = Readonly<{ generation: number; vms: readonly DesiredVm[] }>;

const hashOf = (vms: unknown): string =>
  createHash("sha256").update(canonicalJson(vms)).digest("hex");
