import { createHash } from "node:crypto";
import { toWireId } from "#core/ids.ts";
import { USUAL_CEILING, type Ceiling } from "#core/hosts/capacity.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadLocation } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { insertHost, insertJoinToken, loadHost, setQueueUrl, type Host } from "#db/hosts/hosts.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { violates } from "#db/transaction.ts";
import { claimOnce, type RequestKey } from "#commands/messages/answer-once.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";

/** Long enough to walk to a machine, short enough that a lost token is worth little (design §6). */
const JOIN_TOKEN_MS = 15 * 60_000;

export type AddedHost = Readonly<{ host: Host; joinToken: string; joinTokenExpiresAt: Date }>;

export const hashJoinToken = (token: string): string =>
  createHash("sha256").update(token).digest("hex");

type AddHostRefusal = Refusal<"location_not_found" | KeyCode>;
type KeyCode = "idempotency_key_reused" | "secret_shown_once";

const askForToken = (hostId: string) =>
  `ask for another join token for the host ${toWireId("host", hostId)}`;

/** Adds a host, makes its queue, and issues the token that its agent enrols with. */
export async function addHost(
  deps: Deps,
  by: Actor,
  input: {
    name: string;
    locationId: string;
    testOnly: boolean;
    cpuOvercommit: number;
    ceiling?: Ceiling | undefined;
    group?: string | undefined;
  },
  key?: RequestKey,
): Promise<Result<AddedHost, Refusal<"name_taken"> | AddHostRefusal>> {
  const at = stamp(deps);
  const hostId = at.newId();
  const added = await undoOnRefusal(
    deps.db,
    async (tx): Promise<Result<{ token: string; expiresAt: Date }, AddHostRefusal>> => {
      const claimed = await claimOnce(tx, key, { resourceId: hostId, hint: askForToken }, at.now);
      if (!claimed.ok) return claimed;
      if (!(await loadLocation(tx, input.locationId)))
        return refuse("location_not_found", "no such location");
      await insertHost(
        tx,
        {
          ...input,
          id: hostId,
          ceiling: input.ceiling ?? USUAL_CEILING,
          group: input.group ?? null,
        },
        at.now,
      );
      await recordChange(
        tx,
        { actor: by, action: "host.add", subject: { kind: "host", id: hostId }, events: [] },
        at,
      );
      return ok(await issueToken(deps, tx, hostId, by));
    },
  ).catch((error: unknown) => {
    if (violates(error, "hosts_name_key"))
      return refuse("name_taken", `a host named ${input.name} exists`);
    throw error;
  });
  if (!added.ok) return added;
  await makeQueue(deps, hostId);
  const host = await loadHost(deps.db, hostId);
  if (!host) throw new Error(`host ${hostId} vanished`);
  return ok({ host, joinToken: added.value.token, joinTokenExpiresAt: added.value.expiresAt });
}

/** Outside the transaction. If it fails, the queue is made when the agent asks for it, or the relay first rings it. */
async function makeQueue(deps: Deps, hostId: string): Promise<void> {
  try {
    await setQueueUrl(deps.db, hostId, await deps.queues.ensureHostQueue(hostId));
  } catch (error) {
    deps.log.error("add_host.no_queue", { host_id: hostId, error });
  }
}

type IssueTokenRefusal = Refusal<"host_not_found" | "host_wrong_state" | KeyCode>;

/** A new join token for a host that has lost its agent's key, or whose first token ran out. */
export async function issueJoinToken(
  deps: Deps,
  by: Actor,
  hostId: string,
  key?: RequestKey,
): Promise<Result<AddedHost, IssueTokenRefusal>> {
  return undoOnRefusal(deps.db, async (tx): Promise<Result<AddedHost, IssueTokenRefusal>> => {
    const made = { resourceId: hostId, hint: askForToken };
    const claimed = await claimOnce(tx, key, made, deps.clock.now());
    if (!claimed.ok) return claimed;
    const host = await loadHost(tx, hostId);
    if (!host) return refuse("host_not_found", "no such host");
    if (host.state === "retired") return refuse("host_wrong_state", "this host is retired");
    const { token, expiresAt } = await issueToken(deps, tx, hostId, by);
    return ok({ host, joinToken: token, joinTokenExpiresAt: expiresAt });
  });
}

async function issueToken(
  deps: Deps,
  tx: Tx,
  hostId: string,
  by: Actor,
): Promise<{ token: string; expiresAt: Date }> {
  const at = stamp(deps);
  const token = `berth-join-${deps.secrets.newSecret(32)}`;
  const expiresAt = new Date(+at.now + JOIN_TOKEN_MS);
  await insertJoinToken(tx, { tokenHash: hashJoinToken(token), hostId, expiresAt, now: at.now });
  await recordChange(
    tx,
    {
      actor: by,
      action: "host.issue_join_token",
      subject: { kind: "host", id: hostId },
      events: [],
    },
    at,
  );
  return { token, expiresAt };
}
