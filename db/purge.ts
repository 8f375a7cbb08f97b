import { and, asc, isNotNull, isNull, lt, sql, type SQL } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import type { Kept } from "#core/retention.ts";
import {
  attempts,
  authRateLimits,
  knownNetworks,
  sessions,
  spentCodes,
  verifications,
} from "#db/schema/accounts.ts";
import { resizeQuotes } from "#db/schema/billing.ts";
import { idempotencyKeys, inbox, mails, outbox, refusingAddresses } from "#db/schema/messages.ts";
import type { Db } from "./client.ts";

type Old = Readonly<{ from: PgTable; by: PgColumn; where: (before: Date) => SQL | undefined }>;

/** Log-ins go by the machine's own clock, which a local stack's may be far ahead of. */
const earlier = (before: Date) => sql`least(now(), ${before.toISOString()}::timestamptz)`;

/** What is old of each, by an index on its age. What is not done yet never is. */
const OLD: Readonly<Record<Kept, Old>> = {
  appliedDeliveries: {
    from: inbox,
    by: inbox.appliedAt,
    where: (before) => and(isNotNull(inbox.appliedAt), lt(inbox.appliedAt, before)),
  },
  sentEvents: {
    from: outbox,
    by: outbox.sentAt,
    where: (before) => and(isNotNull(outbox.sentAt), lt(outbox.sentAt, before)),
  },
  mails: {
    from: mails,
    by: mails.endedAt,
    where: (before) => and(isNotNull(mails.endedAt), lt(mails.endedAt, before)),
  },
  refusingAddresses: {
    from: refusingAddresses,
    by: refusingAddresses.notedAt,
    where: (before) => lt(refusingAddresses.notedAt, before),
  },
  answers: {
    from: idempotencyKeys,
    by: idempotencyKeys.createdAt,
    where: (before) => lt(idempotencyKeys.createdAt, before),
  },
  sessions: {
    from: sessions,
    by: sessions.expiresAt,
    where: (before) => lt(sessions.expiresAt, earlier(before)),
  },
  verifications: {
    from: verifications,
    by: verifications.expiresAt,
    where: (before) => lt(verifications.expiresAt, earlier(before)),
  },
  spentCodes: {
    from: spentCodes,
    by: spentCodes.spentAt,
    where: (before) => lt(spentCodes.spentAt, earlier(before)),
  },
  attempts: {
    from: attempts,
    by: attempts.runsOutAt,
    where: (before) => lt(attempts.runsOutAt, before),
  },
  knownNetworks: {
    from: knownNetworks,
    by: knownNetworks.seenAt,
    where: (before) => lt(knownNetworks.seenAt, before),
  },
  quotes: {
    from: resizeQuotes,
    by: resizeQuotes.expiresAt,
    where: (before) => and(isNull(resizeQuotes.takenBy), lt(resizeQuotes.expiresAt, before)),
  },
  rateLimits: {
    from: authRateLimits,
    by: authRateLimits.lastRequest,
    where: (before) =>
      lt(authRateLimits.lastRequest, sql`(extract(epoch from ${earlier(before)}) * 1000)::bigint`),
  },
};

/**
 * Deletes what was old before then, the oldest first. What somebody holds is left for another time.
 *
 * @returns how many rows went.
 */
export async function deleteOld(
  db: Db,
  what: Kept,
  { before, limit }: { before: Date; limit: number },
): Promise<number> {
  const { from, by, where } = OLD[what];
  const old = db
    .select({ at: sql`ctid` })
    .from(from)
    .where(where(before))
    .orderBy(asc(by))
    .limit(limit)
    .for("update", { skipLocked: true });
  // By their place: it stays the same while they are locked, and there need be no key of one column.
  const gone = await db
    .delete(from)
    .where(sql`ctid = any(array(${old}))`)
    .returning({ one: sql`1` });
  return gone.length;
}
