import { and, eq, notInArray, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import type { HeldImage } from "#core/contracts/agent/report.ts";
import type { Db, Tx } from "#db/client.ts";
import { heldImages, hosts, imageFetches } from "#db/schema/hosts.ts";

const peers = alias(hosts, "peers");

const HELD = {
  file: heldImages.file,
  virtualBytes: heldImages.virtualBytes,
  sha256: heldImages.sha256,
  changed: heldImages.changed,
};

/** What a host holds, and whence it says that it has it. */
export async function heldImagesOf(db: Db, hostId: string) {
  return db
    .select({
      ...HELD,
      source: imageFetches.source,
      sourceHost: { id: peers.id, name: peers.name },
    })
    .from(heldImages)
    .leftJoin(
      imageFetches,
      and(eq(imageFetches.hostId, heldImages.hostId), eq(imageFetches.file, heldImages.file)),
    )
    .leftJoin(peers, eq(peers.id, imageFetches.peerId))
    .where(eq(heldImages.hostId, hostId))
    .orderBy(heldImages.file);
}

/**
 * Writes down what a host holds; undefined: its agent does not say. Two statements and a look, however many images there
 * are. The caller holds the host.
 */
export async function saveHeldImages(
  tx: Tx,
  hostId: string,
  images: readonly HeldImage[] | undefined,
): Promise<void> {
  await tx
    .update(hosts)
    .set({ tellsImages: images !== undefined })
    .where(and(eq(hosts.id, hostId), sql`${hosts.tellsImages} <> ${images !== undefined}`));
  // The last word on a file that is told of twice counts: a host's word is no reason to fail.
  const held = new Map((images ?? []).map((image) => [image.file, image]));
  const before = await tx.select(HELD).from(heldImages).where(eq(heldImages.hostId, hostId));
  const known = new Map(before.map((image) => [image.file, image]));
  const gone = [...known.keys()].filter((file) => !held.has(file));
  if (gone.length > 0)
    await tx
      .delete(heldImages)
      .where(and(eq(heldImages.hostId, hostId), notInArray(heldImages.file, [...held.keys()])));
  const fresh = [...held.values()].filter((image) => !same(image, known.get(image.file)));
  if (fresh.length > 0)
    await tx
      .insert(heldImages)
      .values(fresh.map((image) => ({ hostId, ...image })))
      .onConflictDoUpdate({
        target: [heldImages.hostId, heldImages.file],
        set: {
          virtualBytes: sql`excluded.virtual_bytes`,
          sha256: sql`excluded.sha256`,
          changed: sql`excluded.changed`,
        },
      });
}

const same = (a: HeldImage, b: HeldImage | undefined): boolean =>
  a.virtualBytes === b?.virtualBytes && a.sha256 === b.sha256 && a.changed === b.changed;
