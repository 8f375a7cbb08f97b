import { and, eq, sql } from "drizzle-orm";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Db, Tx } from "#db/client.ts";
import { idempotencyKeys } from "#db/schema/messages.ts";

export type RequestKey = Readonly<{ accountId: string; key: string; requestHash: string }>;
export type KeyClaim =
  | { kind: "first" }
  /** Asked before, and not answered yet: go on from the resource that the first request made. */
  | { kind: "resume"; resourceId: string }
  | { kind: "answered"; response: unknown };

const isKey = (k: RequestKey) =>
  and(eq(idempotencyKeys.accountId, k.accountId), eq(idempotencyKeys.key, k.key));

/**
 * Claims a client's key inside the transaction that does the work. A second request with the same key waits here
 * for the first one's commit. Fails closed: an error of the database is an error of the request.
 */
export async function claimKey(
  tx: Tx,
  k: RequestKey,
  resourceId: string,
  now: Date,
): Promise<Result<KeyClaim, Refusal<"idempotency_key_reused">>> {
  const mine = await tx
    .insert(idempotencyKeys)
    .values({ ...k, resourceId, createdAt: now })
    .onConflictDoNothing()
    .returning({ key: idempotencyKeys.key });
  if (mine.length === 1) return ok({ kind: "first" });
  const [prior] = await tx.select().from(idempotencyKeys).where(isKey(k));
  if (!prior) throw new Error(`idempotency key of ${k.accountId} vanished`);
  if (prior.requestHash !== k.requestHash)
    return refuse("idempotency_key_reused", "this key was used with another body");
  return ok(
    prior.response === null
      ? { kind: "resume", resourceId: prior.resourceId }
      : { kind: "answered", response: prior.response },
  );
}

/** The key's request turned out to mean a resource that was there already: its repeats go on from that one. */
export async function pointKey(tx: Tx, k: RequestKey, resourceId: string): Promise<void> {
  await tx.update(idempotencyKeys).set({ resourceId }).where(isKey(k));
}

/** Keeps the answer for repeats, and gives back the one that was kept: of two that race, the first. */
export async function keepAnswer(db: Db | Tx, k: RequestKey, response: unknown): Promise<unknown> {
  const [row] = await db
    .update(idempotencyKeys)
    .set({
      response: sql`coalesce(${idempotencyKeys.response}, ${JSON.stringify(response)}::jsonb)`,
    })
    .where(isKey(k))
    .returning({ response: idempotencyKeys.response });
  return row?.response ?? response;
}
