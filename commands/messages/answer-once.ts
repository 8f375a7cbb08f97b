import type { z } from "zod";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Tx } from "#db/client.ts";
import { claimKey, keepAnswer, type RequestKey } from "#db/messages/idempotency.ts";
import type { Deps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";

export type { RequestKey };
type KeyReused = Refusal<"idempotency_key_reused">;

/**
 * Does `work` once for a client's key, and gives its repeats the first answer, as it was. Claim, work and answer are
 * one transaction: what is refused or fails leaves the key unused. Without a key the work is just done.
 *
 * `work` is given deps whose `db` is that transaction, so that the transaction of the command it calls is a part of
 * it. It must make no call to the outside, and its answer must hold no secret: it is stored.
 */
export async function answerOnce<A, E>(
  deps: Deps,
  key: RequestKey | undefined,
  answer: z.ZodType<A>,
  work: (deps: Deps) => Promise<Result<A, E>>,
): Promise<Result<A, E | KeyReused>> {
  if (key === undefined) return work(deps);
  return undoOnRefusal(deps.db, async (tx): Promise<Result<A, E | KeyReused>> => {
    const claim = await claimKey(tx, key, deps.ids.newId(), deps.clock.now());
    if (!claim.ok) return claim;
    if (claim.value.kind === "answered") return ok(answer.parse(claim.value.response));
    if (claim.value.kind === "resume") throw new Error("a key was kept without its answer");
    const done = await work({ ...deps, db: tx });
    if (!done.ok) return done;
    return ok(answer.parse(await keepAnswer(tx, key, done.value)));
  });
}

/**
 * Claims a client's key for something whose answer holds a secret, which is not stored: a repeat makes nothing, and
 * is refused. `hint` says how to go on without the answer.
 */
export async function claimOnce(
  tx: Tx,
  key: RequestKey | undefined,
  made: { resourceId: string; hint: (resourceId: string) => string },
  now: Date,
): Promise<Result<void, KeyReused | Refusal<"secret_shown_once">>> {
  if (key === undefined) return ok(undefined);
  const claim = await claimKey(tx, key, made.resourceId, now);
  if (!claim.ok) return claim;
  if (claim.value.kind === "first") return ok(undefined);
  const first = claim.value.kind === "resume" ? claim.value.resourceId : made.resourceId;
  return refuse(
    "secret_shown_once",
    `this key has been used, and its secret was in the first answer only; ${made.hint(first)}`,
  );
}
