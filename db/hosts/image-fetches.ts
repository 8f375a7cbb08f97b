import { and, asc, eq, gt, isNull, or, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import { MOST_IMAGES, type ImageFetch } from "#core/contracts/agent/images.ts";
import type { ImageCameFrom } from "#core/hosts/image-fetch.ts";
import type { Db, Tx } from "#db/client.ts";
import { isInUse } from "./in-state.ts";
import { images, imageSources } from "#db/schema/catalogue.ts";
import { heldImages, hosts, imageFetches, imageServers } from "#db/schema/hosts.ts";

const SUM = sql<string>`${images.sha256} ->> ${imageSources.hypervisor}::text`;
/** The rule by which a host should hold an image: of its hypervisor, in its location, while it is at work. */
const shouldHold = and(
  eq(imageSources.hypervisor, hosts.hypervisor),
  or(isNull(imageSources.locationIds), sql`${hosts.locationId} = any(${imageSources.locationIds})`),
  isInUse,
);
const TOLD = {
  state: imageFetches.state,
  doneBytes: imageFetches.doneBytes,
  totalBytes: imageFetches.totalBytes,
  why: imageFetches.why,
  source: imageFetches.source,
  peerId: imageFetches.peerId,
};
const peers = alias(hosts, "peers");
/** The host that an image came from. */
const PEER = { id: peers.id, name: peers.name };

/** What a host should hold, with what it last told of it and of serving. Two images may have one file. */
export async function wantedImages(db: Db, hostId: string) {
  return db
    .selectDistinctOn([images.file], {
      file: images.file,
      url: imageSources.url,
      sha256: SUM,
      bytes: imageSources.bytes,
      locationIds: imageSources.locationIds,
      told: TOLD,
      hostLocationId: hosts.locationId,
      serves: {
        address: imageServers.address,
        port: imageServers.port,
        sealedKey: imageServers.sealedKey,
      },
    })
    .from(hosts)
    .innerJoin(imageSources, shouldHold)
    .innerJoin(images, and(eq(images.id, imageSources.imageId), eq(images.available, true)))
    .leftJoin(
      imageFetches,
      and(eq(imageFetches.hostId, hosts.id), eq(imageFetches.file, images.file)),
    )
    .leftJoin(imageServers, eq(imageServers.hostId, hosts.id))
    .where(eq(hosts.id, hostId))
    .orderBy(asc(images.file), asc(images.id))
    .limit(MOST_IMAGES);
}

/** Of one image, the hosts that should hold it, by their ids. */
export async function hostsOfImage(
  db: Db,
  imageId: string,
  page: { limit: number; after: string | null },
) {
  return db
    .select({
      hostId: hosts.id,
      hostName: hosts.name,
      sha256: SUM,
      told: TOLD,
      held: { sha256: heldImages.sha256, changed: heldImages.changed },
      peer: PEER,
    })
    .from(imageSources)
    .innerJoin(images, eq(images.id, imageSources.imageId))
    .innerJoin(hosts, shouldHold)
    .leftJoin(
      imageFetches,
      and(eq(imageFetches.hostId, hosts.id), eq(imageFetches.file, images.file)),
    )
    .leftJoin(heldImages, and(eq(heldImages.hostId, hosts.id), eq(heldImages.file, images.file)))
    .leftJoin(peers, eq(peers.id, imageFetches.peerId))
    .where(
      and(
        eq(imageSources.imageId, imageId),
        page.after === null ? undefined : gt(hosts.id, page.after),
      ),
    )
    .orderBy(asc(hosts.id))
    .limit(page.limit);
}

export async function saveImageFetches(
  tx: Tx,
  hostId: string,
  fetches: readonly (Omit<ImageFetch, keyof ImageCameFrom> & ImageCameFrom)[],
): Promise<void> {
  if (fetches.length === 0) return;
  await tx
    .insert(imageFetches)
    .values(
      fetches.map(({ file, state, doneBytes, totalBytes, why, source, peerId }) => ({
        hostId,
        file,
        state,
        doneBytes,
        totalBytes,
        why,
        source,
        peerId,
      })),
    )
    .onConflictDoUpdate({
      target: [imageFetches.hostId, imageFetches.file],
      set: {
        state: sql`excluded.state`,
        doneBytes: sql`excluded.done_bytes`,
        totalBytes: sql`excluded.total_bytes`,
        why: sql`excluded.why`,
        source: sql`excluded.source`,
        peerId: sql`excluded.peer_id`,
      },
    });
}
