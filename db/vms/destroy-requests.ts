import { and, desc, eq, gt, isNull, lt } from "drizzle-orm";
import type { DestroyEnd, DestroyRequest } from "#core/vms/destroy-request.ts";
import type { Db, Tx } from "#db/client.ts";
import { destroyRequests } from "#db/schema/vms.ts";

export async function insertDestroyRequest(tx: Tx, request: DestroyRequest): Promise<void> {
  await tx.insert(destroyRequests).values(request);
}

export async function findDestroyRequest(db: Db, id: string): Promise<DestroyRequest | undefined> {
  const [row] = await db.select().from(destroyRequests).where(eq(destroyRequests.id, id));
  return row;
}

/** The one of this VM that nobody has ended, held until the transaction ends. It may have run out. */
export async function lockOpenDestroyRequest(
  tx: Tx,
  vmId: string,
): Promise<DestroyRequest | undefined> {
  const [row] = await tx
    .select()
    .from(destroyRequests)
    .where(and(eq(destroyRequests.vmId, vmId), isNull(destroyRequests.end)))
    .for("update");
  return row;
}

export async function endDestroyRequest(
  tx: Tx,
  id: string,
  { end, at, by }: { end: DestroyEnd; at: Date; by: string | null },
): Promise<void> {
  await tx
    .update(destroyRequests)
    .set({ end, endedAt: at, endedBy: by })
    .where(eq(destroyRequests.id, id));
}

/** Those that can still be confirmed, the newest first. */
export async function listOpenDestroyRequests(
  db: Db,
  now: Date,
  page: { limit: number; before: string | null },
): Promise<readonly DestroyRequest[]> {
  return db
    .select()
    .from(destroyRequests)
    .where(
      and(
        isNull(destroyRequests.end),
        gt(destroyRequests.expiresAt, now),
        page.before === null ? undefined : lt(destroyRequests.id, page.before),
      ),
    )
    .orderBy(desc(destroyRequests.id))
    .limit(page.limit);
}
