import { and, asc, eq, inArray, notExists, sql } from "drizzle-orm";
import { z } from "zod";
import { HeldImage, HostFacts } from "#core/contracts/agent/report.ts";
import { platformOf } from "#core/hosts/limits.ts";
import type { HostKind } from "#core/hosts/place-vm.ts";
import type { Db, Tx } from "#db/client.ts";
import { takesNewVms } from "./in-state.ts";
import { hostKinds, hosts } from "#db/schema/hosts.ts";

/** A kind that a location has an active host of, and its own images' files that were asked for. */
export type KindHere = HostKind & Readonly<{ kindId: string; locationId: string }>;

const KindFacts = HostFacts.pick({
  hypervisor: true,
  hypervisorVersion: true,
  accelerator: true,
  capabilities: true,
  cpuThreads: true,
});
const Held = z.array(HeldImage).nullable();

/**
 * A host of the kind, or null: in the order of `hosts_room_idx`. Of `exists`, or of any host, the planner might think that it
 * will soon meet one, and read all hosts for a kind that none is of any more.
 */
const anActiveOne = (db: Db | Tx) =>
  db
    .select({ id: hosts.id })
    .from(hosts)
    .where(and(eq(hosts.kindId, hostKinds.id), takesNewVms))
    .orderBy(sql`(${hosts.capacityMemoryMib} - ${hosts.allocatedMemoryMib}) desc`, asc(hosts.id))
    .limit(1);

const kindRows = (db: Db | Tx, files: readonly string[]) =>
  db
    .select({
      id: hostKinds.id,
      locationId: hostKinds.locationId,
      testOnly: hostKinds.testOnly,
      facts: hostKinds.facts,
      understands: hostKinds.understands,
      images: sql`case when ${hostKinds.images} is not null then coalesce((
          select jsonb_agg(${hostKinds.images} -> file) filter (where ${hostKinds.images} ? file)
          from unnest(${sql.param([...files])}::text[]) file), '[]') end`,
    })
    .from(hostKinds);

/** Without those that cannot be read. */
const kindsFromRows = (rows: Awaited<ReturnType<typeof kindRows>>): readonly KindHere[] =>
  rows.flatMap(({ id, facts, images, ...row }) => {
    const said = KindFacts.safeParse(facts);
    const held = Held.safeParse(images);
    return said.success && held.success
      ? [
          {
            ...row,
            kindId: id,
            hypervisor: said.data.hypervisor,
            platform: platformOf(said.data),
            cpuThreads: said.data.cpuThreads,
            accelerator: said.data.accelerator,
            capabilities: said.data.capabilities,
            images: held.data,
          },
        ]
      : [];
  });

/** The kinds of active hosts in one location, or in all, with what they hold of these files. */
export async function kindsOfHosts(
  db: Db | Tx,
  of: { locationId?: string; files: readonly string[] },
): Promise<readonly KindHere[]> {
  const rows = await kindRows(db, of.files).where(
    and(
      of.locationId === undefined ? undefined : eq(hostKinds.locationId, of.locationId),
      sql`${anActiveOne(db)} is not null`,
    ),
  );
  return kindsFromRows(rows);
}

/** These kinds, whatever hosts are of them. */
export async function kindsById(
  db: Db,
  kindIds: readonly string[],
  files: readonly string[],
): Promise<ReadonlyMap<string, KindHere>> {
  if (kindIds.length === 0) return new Map();
  const rows = await kindRows(db, files).where(inArray(hostKinds.id, [...kindIds]));
  return new Map(kindsFromRows(rows).map((kind) => [kind.kindId, kind]));
}

/** Deletes kinds that no host is of any more. One that a host is becoming is left for another time. */
export async function forgetUnusedKinds(tx: Tx, limit: number): Promise<number> {
  const used = tx
    .select({ one: sql`1` })
    .from(hosts)
    .where(eq(hosts.kindId, hostKinds.id));
  const unused = await tx
    .select({ id: hostKinds.id })
    .from(hostKinds)
    .where(notExists(used))
    .limit(limit)
    .for("update", { skipLocked: true });
  if (unused.length === 0) return 0;
  // Looked at again, by a statement of its own: a host may have become of it before it was locked.
  const gone = await tx
    .delete(hostKinds)
    .where(
      and(
        inArray(
          hostKinds.id,
          unused.map(({ id }) => id),
        ),
        notExists(used),
      ),
    )
    .returning({ id: hostKinds.id });
  return gone.length;
}
