import { and, asc, eq, gt, gte, lte, ne, or, sql, type SQL } from "drizzle-orm";
import { alias, unionAll } from "drizzle-orm/pg-core";
import { placeOf, type ImageServer } from "#core/hosts/image-peers.ts";
import type { Db, Tx } from "#db/client.ts";
import { isInUse } from "./in-state.ts";
import { heldImages, hosts, imageFetches, imageServers } from "#db/schema/hosts.ts";

/** Looked at for one host, on either side of its place on the ring: who serves beyond these is not named to it. */
const MOST_EACH_WAY = 100;

export type ServerAddress = Readonly<{ address: string; port: number; sealedKey: string }>;

/** null: it serves no images. */
export async function saveImageServer(
  tx: Tx,
  hostId: string,
  serves: ServerAddress | null,
): Promise<void> {
  if (serves === null) {
    await tx.delete(imageServers).where(eq(imageServers.hostId, hostId));
    return;
  }
  await tx
    .insert(imageServers)
    .values({ hostId, place: placeOf(hostId), ...serves })
    .onConflictDoUpdate({ target: imageServers.hostId, set: serves });
}

/**
 * Who serves images in a host's location or group: of its hypervisor, at work and heard of since `heardSince`, with which of
 * these images each holds, byte for byte, and which it could not fetch. One statement, over so many hosts at the most.
 */
export async function imageServersFor(
  db: Db,
  hostId: string,
  images: readonly { file: string; sha256: string }[],
  heardSince: Date,
): Promise<readonly (ImageServer & ServerAddress)[]> {
  const asker = alias(hosts, "asker");
  const files = sql.param(images.map(({ file }) => file));
  const sums = sql.param(images.map(({ sha256 }) => sha256));
  const holds = sql<string[]>`array(
    select ${heldImages.file} from ${heldImages}
    join unnest(${files}::text[], ${sums}::text[]) as asked (file, sha256)
      on asked.file = ${heldImages.file} and asked.sha256 = ${heldImages.sha256}
    where ${heldImages.hostId} = ${imageServers.hostId} and not ${heldImages.changed})`;
  const failed = sql<string[]>`array(
    select ${imageFetches.file} from ${imageFetches}
    where ${imageFetches.hostId} = ${imageServers.hostId} and ${imageFetches.state} = 'failed'
      and ${imageFetches.file} = any(${files}::text[]))`;
  const side = (where: SQL) =>
    db
      .select({
        hostId: imageServers.hostId,
        place: imageServers.place,
        locationId: hosts.locationId,
        address: imageServers.address,
        port: imageServers.port,
        sealedKey: imageServers.sealedKey,
        holds: holds.as("holds"),
        failed: failed.as("failed"),
      })
      .from(imageServers)
      .innerJoin(hosts, eq(hosts.id, imageServers.hostId))
      .innerJoin(asker, eq(asker.id, hostId))
      .where(
        and(
          where,
          ne(hosts.id, asker.id),
          eq(hosts.hypervisor, asker.hypervisor),
          or(eq(hosts.locationId, asker.locationId), eq(hosts.hostGroup, asker.hostGroup)),
          isInUse,
          gte(hosts.lastSeenAt, heardSince),
        ),
      )
      .orderBy(asc(imageServers.place))
      .limit(MOST_EACH_WAY);
  const at = placeOf(hostId);
  return unionAll(side(gt(imageServers.place, at)), side(lte(imageServers.place, at)));
}
