import { and, eq, ne, sql } from "drizzle-orm";
import type { Hypervisor } from "#core/hosts/limits.ts";
import type { Db, Tx } from "#db/client.ts";
import { images, imageSources, locations } from "#db/schema/catalogue.ts";
import { imageFromRow, type Image } from "./catalogue.ts";

/** Where an image's file for a hypervisor is fetched from. */
export type ImageSource = Readonly<{
  imageId: string;
  hypervisor: Hypervisor;
  url: string;
  bytes: number | null;
  /** null: all. */
  locationIds: readonly string[] | null;
}>;

/** Held, so that its checksum is told once. */
export async function lockImage(tx: Tx, id: string): Promise<Image | undefined> {
  const [row] = await tx.select().from(images).where(eq(images.id, id)).for("update");
  return row && imageFromRow(row);
}

export async function saveImageSum(
  tx: Tx,
  imageId: string,
  hypervisor: Hypervisor,
  sha256: string,
): Promise<void> {
  await tx
    .update(images)
    .set({ sha256: sql`${images.sha256} || ${JSON.stringify({ [hypervisor]: sha256 })}::jsonb` })
    .where(eq(images.id, imageId));
}

/** Whether another image says that a file of this name has other bytes. */
export async function isOtherFile(
  tx: Tx,
  image: Image,
  hypervisor: Hypervisor,
  sha256: string,
): Promise<boolean> {
  const [other] = await tx
    .select({ id: images.id })
    .from(images)
    .where(
      and(
        eq(images.file, image.file),
        ne(images.id, image.id),
        sql`${images.sha256} ->> ${hypervisor}::text <> ${sha256}`,
      ),
    )
    .limit(1);
  return other !== undefined;
}

export async function loadImageSource(
  db: Db | Tx,
  imageId: string,
  hypervisor: Hypervisor,
): Promise<ImageSource | undefined> {
  const [row] = await db
    .select()
    .from(imageSources)
    .where(and(eq(imageSources.imageId, imageId), eq(imageSources.hypervisor, hypervisor)));
  return row;
}

export async function saveImageSource(tx: Tx, source: ImageSource, now: Date): Promise<void> {
  const { url, bytes } = source;
  const locationIds = source.locationIds === null ? null : [...source.locationIds];
  await tx
    .insert(imageSources)
    .values({ ...source, locationIds, createdAt: now })
    .onConflictDoUpdate({
      target: [imageSources.imageId, imageSources.hypervisor],
      set: { url, bytes, locationIds },
    });
}

/** How many of these locations there are. */
export async function countLocations(tx: Tx, ids: readonly string[]): Promise<number> {
  return tx.$count(locations, sql`${locations.id} = any(${sql.param(ids)}::uuid[])`);
}
