import { and, count, eq, gt, gte, isNull, lte, min, sql } from "drizzle-orm";
import { z } from "zod";
import type { EventName } from "#core/contracts/events.ts";
import type { HostState } from "#core/hosts/host-state.ts";
import type { OpenOrderState } from "#core/plane-metrics.ts";
import type { Db } from "./client.ts";
import { isSilent } from "./hosts/hosts.ts";
import { findings, hostCounts, hosts } from "./schema/hosts.ts";
import { inbox, outbox } from "./schema/messages.ts";
import { orders } from "./schema/orders.ts";

/* What monitoring reads of everything at once (docs/adr/0034): each by an index of what waits, or of what has just happened. */

/** After the one instant, and up to the other. */
export type Span = Readonly<{ from: Date; until: Date }>;
type Backlog = Readonly<{ rows: number; oldest: Date | null }>;

/** Deliveries that nobody has applied yet. */
export async function unappliedBacklog(db: Db): Promise<Backlog> {
  const [row] = await db
    .select({ rows: count(), oldest: min(inbox.receivedAt) })
    .from(inbox)
    .where(sql`${inbox.appliedAt} is null`);
  return { rows: row?.rows ?? 0, oldest: row?.oldest ?? null };
}

/** Deliveries that were about a customer of ours and led to nothing, since then. Its index is of these alone. */
export async function unhandledSince(db: Db, since: Date): Promise<number> {
  const [row] = await db
    .select({ rows: count() })
    .from(inbox)
    .where(and(sql`${inbox.outcome} = 'unhandled'`, gte(inbox.appliedAt, since)));
  return row?.rows ?? 0;
}

/** Orders that wait for somebody, by state, and of each when the first of them was paid. */
export async function openOrders(db: Db): Promise<ReadonlyMap<OpenOrderState, Backlog>> {
  // The states stand in the text, since the indexes are of these states.
  const waiting = await db
    .select({ rows: count() })
    .from(orders)
    .where(sql`${orders.state} = 'awaiting_payment'`);
  const paid = await db
    .select({ state: orders.state, rows: count(), oldest: min(orders.paidAt) })
    .from(orders)
    .where(sql`${orders.state} in ('paid', 'refunding')`)
    .groupBy(orders.state);
  const of = (state: OpenOrderState): Backlog =>
    paid.find((row) => row.state === state) ?? { rows: 0, oldest: null };
  return new Map([
    ["awaiting_payment", { rows: waiting[0]?.rows ?? 0, oldest: null }],
    ["paid", of("paid")],
    ["refunding", of("refunding")],
  ]);
}

export async function hostsByState(db: Db): Promise<ReadonlyMap<HostState, number>> {
  const rows = await db.select().from(hostCounts);
  return new Map(rows.map((row) => [row.state, row.hosts]));
}

/** Hosts in use that were not heard of since `since`; never more than `most`. */
export async function silentHosts(db: Db, since: Date, most: number): Promise<number> {
  const silent = db
    .select({ id: hosts.id })
    .from(hosts)
    .where(isSilent(since))
    .limit(most)
    .as("silent");
  const [row] = await db.select({ rows: count() }).from(silent);
  return row?.rows ?? 0;
}

/** Findings that are open, by kind; of all of them, never more than `most`. */
export async function openFindings(db: Db, most: number): Promise<ReadonlyMap<string, number>> {
  const open = db
    .select({ kind: findings.kind })
    .from(findings)
    .where(isNull(findings.endedAt))
    .limit(most)
    .as("open");
  const rows = await db.select({ kind: open.kind, rows: count() }).from(open).groupBy(open.kind);
  return new Map(rows.map((row) => [row.kind, row.rows]));
}

const sentIn = ({ from, until }: Span) => and(gt(outbox.sentAt, from), lte(outbox.sentAt, until));

/** How many events of each name were sent, or kept as the record. */
export async function eventsSent(db: Db, span: Span): Promise<ReadonlyMap<EventName, number>> {
  const rows = await db
    .select({ name: outbox.name, rows: count() })
    .from(outbox)
    .where(sentIn(span))
    .groupBy(outbox.name);
  return new Map(rows.map((row) => [row.name, row.rows]));
}

const Seconds = z.array(z.object({ seconds: z.coerce.number() }));
const secondsOf = (rows: unknown) => Seconds.parse(rows).map(({ seconds }) => seconds);

/** Of orders that were delivered: seconds since they were paid. */
export async function deliveryTimes(db: Db, span: Span): Promise<readonly number[]> {
  const rows = await db
    .select({ seconds: sql`extract(epoch from ${outbox.createdAt} - ${orders.paidAt})` })
    .from(outbox)
    .innerJoin(orders, eq(orders.id, sql`(${outbox.data} ->> 'orderId')::uuid`))
    .where(and(sentIn(span), eq(outbox.name, "order.activated.v1")));
  return secondsOf(rows);
}

/** Of changes that hosts were rung for: seconds until then. */
export async function doorbellLags(db: Db, span: Span): Promise<readonly number[]> {
  const rows = await db
    .select({ seconds: sql`extract(epoch from ${outbox.sentAt} - ${outbox.createdAt})` })
    .from(outbox)
    .where(and(sentIn(span), eq(outbox.name, "vm.change_requested.v1")));
  return secondsOf(rows);
}
