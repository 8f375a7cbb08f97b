import { and, asc, eq, gte, isNotNull, isNull, notExists, sql } from "drizzle-orm";
import { z } from "zod";
import { MOST_UNKNOWN_VMS } from "#core/hosts/restored.ts";
import type { Db, Tx } from "#db/client.ts";
import { mailedLinks, sessions } from "#db/schema/accounts.ts";
import { hosts, joinTokens, restores, unknownVms } from "#db/schema/hosts.ts";
import { inbox } from "#db/schema/messages.ts";
import { orders } from "#db/schema/orders.ts";
import { actions, vms } from "#db/schema/vms.ts";

export type Restore = typeof restores.$inferSelect;
export type UnknownVm = typeof unknownVms.$inferSelect;

export async function findRestore(db: Db | Tx, restoredTo: Date): Promise<Restore | undefined> {
  const [row] = await db.select().from(restores).where(eq(restores.restoredTo, restoredTo));
  return row;
}

/** Undefined: it is written down already. */
export async function insertRestore(
  tx: Tx,
  restore: Pick<Restore, "id" | "restoredTo" | "recordedAt">,
): Promise<Restore | undefined> {
  const [row] = await tx.insert(restores).values(restore).onConflictDoNothing().returning();
  return row;
}

/** Of the oldest restore whose events are not all taken in again. */
export async function nextUnread(db: Db): Promise<Restore | undefined> {
  const [row] = await db
    .select()
    .from(restores)
    .where(isNull(restores.eventsReadAt))
    .orderBy(asc(restores.id))
    .limit(1);
  return row;
}

export async function saveRead(
  db: Db,
  id: string,
  read: Partial<Pick<Restore, "eventsAfter" | "eventsReadAt">>,
): Promise<void> {
  await db.update(restores).set(read).where(eq(restores.id, id));
}

/** From now on each host is asked first what it holds, and is told to destroy nothing until `heldUntil`. */
export async function holdAllHosts(tx: Tx, heldUntil: Date): Promise<number> {
  const rows = await tx
    .update(hosts)
    .set({ restoredGeneration: hosts.desiredGeneration, destroysHeldUntil: heldUntil })
    .returning({ id: hosts.id });
  return rows.length;
}

/**
 * What serves once, and may have served in the hours that are lost: join tokens and mailed links are spent, and sessions, of
 * which some had ended, end.
 */
export async function spendWhatMayBeSpent(
  tx: Tx,
  now: Date,
): Promise<{ joinTokens: number; links: number; sessions: number }> {
  const tokens = await tx
    .update(joinTokens)
    .set({ usedAt: now })
    .where(isNull(joinTokens.usedAt))
    .returning({ id: joinTokens.tokenHash });
  const links = await tx
    .update(mailedLinks)
    .set({ usedAt: now })
    .where(isNull(mailedLinks.usedAt))
    .returning({ id: mailedLinks.id });
  const ended = await tx.delete(sessions).returning({ id: sessions.id });
  return { joinTokens: tokens.length, links: links.length, sessions: ended.length };
}

/**
 * Raises the counters of a host, of all its VMs that are not gone and of what runs on them by as much. The caller holds the
 * VMs, and then the host.
 */
export async function raiseCounters(tx: Tx, hostId: string, by: number): Promise<void> {
  await tx
    .update(hosts)
    .set({
      desiredGeneration: sql`${hosts.desiredGeneration} + ${by}`,
      raisedBy: sql`${hosts.raisedBy} + ${by}`,
      restoredGeneration: null,
    })
    .where(eq(hosts.id, hostId));
  if (by === 0) return;
  const raised = await tx
    .update(vms)
    .set({ generation: sql`${vms.generation} + ${by}` })
    .where(and(eq(vms.hostId, hostId), isNull(vms.deletedAt)))
    .returning({ id: vms.id });
  await tx
    .update(actions)
    .set({ generation: sql`${actions.generation} + ${by}` })
    .where(
      and(
        eq(actions.status, "running"),
        sql`${actions.vmId} = any(${sql.param(raised.map((vm) => vm.id))}::uuid[])`,
      ),
    );
}

/** All VMs of the host that are not gone, held in the order in which reports hold them. */
export async function lockAllVmsOf(tx: Tx, hostId: string): Promise<void> {
  await tx
    .select({ id: vms.id })
    .from(vms)
    .where(and(eq(vms.hostId, hostId), isNull(vms.deletedAt)))
    .orderBy(asc(vms.id))
    .for("update");
}

/** Of these VMs, those that stand nowhere yet: neither among ours nor among the unknown ones that are kept. */
export async function notKept(tx: Tx, vmIds: readonly string[]): Promise<ReadonlySet<string>> {
  if (vmIds.length === 0) return new Set();
  const ids = sql`any(${sql.param([...vmIds])}::uuid[])`;
  const kept = await tx
    .select({ id: vms.id })
    .from(vms)
    .where(sql`${vms.id} = ${ids}`)
    .union(
      tx
        .select({ id: unknownVms.vmId })
        .from(unknownVms)
        .where(sql`${unknownVms.vmId} = ${ids}`),
    );
  const standing = new Set(kept.map(({ id }) => id));
  return new Set(vmIds.filter((id) => !standing.has(id)));
}

/** Keeps what its agent knew of the VM. False: it is kept already, or the host has told of too many. */
export async function insertUnknownVm(tx: Tx, vm: UnknownVm): Promise<boolean> {
  const [told] = await tx
    .select({ count: sql<number>`count(*)::int` })
    .from(unknownVms)
    .where(eq(unknownVms.hostId, vm.hostId));
  if ((told?.count ?? 0) >= MOST_UNKNOWN_VMS) return false;
  const rows = await tx
    .insert(unknownVms)
    .values(vm)
    .onConflictDoNothing()
    .returning({ id: unknownVms.vmId });
  return rows.length > 0;
}

export async function loadUnknownVm(db: Db | Tx, vmId: string): Promise<UnknownVm | undefined> {
  const [row] = await db.select().from(unknownVms).where(eq(unknownVms.vmId, vmId));
  return row;
}

/** Those that nobody has adopted, nor made known by a payment that was fetched again. */
export async function listUnknownVms(db: Db): Promise<readonly UnknownVm[]> {
  return db
    .select()
    .from(unknownVms)
    .where(notExists(db.select({ id: vms.id }).from(vms).where(eq(vms.id, unknownVms.vmId))))
    .orderBy(asc(unknownVms.vmId))
    .limit(MOST_LISTED);
}

/** Hosts that have not asked for their document since a restore. */
export async function listUnheardHosts(
  db: Db,
): Promise<readonly { id: string; name: string; lastSeenAt: Date | null }[]> {
  return db
    .select({ id: hosts.id, name: hosts.name, lastSeenAt: hosts.lastSeenAt })
    .from(hosts)
    .where(isNotNull(hosts.restoredGeneration))
    .orderBy(asc(hosts.id))
    .limit(MOST_LISTED);
}
const MOST_LISTED = 1000;

const Checkout = z.object({
  data: z.object({
    object: z.object({
      id: z.string(),
      created: z.number(),
      amount_total: z.number().nullable(),
      currency: z.string().nullable(),
      customer_details: z.object({ email: z.string().nullable() }).nullish(),
      metadata: z.object({ order_id: z.string() }),
    }),
  }),
});
export type UnknownCheckout = Readonly<{
  checkoutId: string;
  orderId: string;
  email: string | null;
  amountMinor: string | null;
  currency: string | null;
}>;

/** Checkout Sessions that are complete, name an order as ours do, and lead to none that is known: fetched since `since`. */
export async function listUnknownCheckouts(
  db: Db,
  since: Date,
): Promise<readonly UnknownCheckout[]> {
  const rows = await db
    .select({ body: inbox.body })
    .from(inbox)
    .where(
      and(
        eq(inbox.source, "stripe"),
        eq(inbox.type, "checkout.session.completed"),
        eq(inbox.outcome, "ignored"),
        gte(inbox.appliedAt, since),
        notExists(
          db.select({ id: orders.id }).from(orders).where(eq(orders.checkoutId, inbox.objectId)),
        ),
      ),
    )
    .limit(MOST_LISTED);
  return rows.flatMap(({ body }) => {
    const session = Checkout.safeParse(JSON.parse(body)).data?.data.object;
    if (session === undefined) return [];
    return [
      {
        checkoutId: session.id,
        orderId: session.metadata.order_id,
        email: session.customer_details?.email ?? null,
        amountMinor: session.amount_total === null ? null : String(session.amount_total),
        currency: session.currency,
      },
    ];
  });
}
