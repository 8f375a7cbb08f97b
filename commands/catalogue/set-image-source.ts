import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import {
  countLocations,
  isOtherFile,
  loadImageSource,
  lockImage,
  saveImageSource,
  saveImageSum,
  type ImageSource,
} from "#db/catalogue/image-sources.ts";
import { recordChange, type Actor } from "#db/record-change.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { undoOnRefusal } from "#commands/undo-on-refusal.ts";

export type SourcedImage = ImageSource & { sha256: string };
type Refused = Refusal<
  "image_not_found" | "location_not_found" | "image_not_for_hypervisor" | "image_other_file"
>;

/**
 * Says where hosts fetch an image from. Where it is may change; its checksum is told once and for ever, as VMs' disks lie on
 * those bytes: another build is another image with another file.
 */
export async function setImageSource(
  deps: Deps,
  by: Actor,
  source: SourcedImage,
): Promise<Result<SourcedImage, Refused>> {
  const at = stamp(deps);
  const { imageId, hypervisor, sha256, url, bytes } = source;
  const locationIds = source.locationIds && [...new Set(source.locationIds)].sort();
  const wanted: ImageSource = { imageId, hypervisor, url, bytes, locationIds };
  return undoOnRefusal(deps.db, async (tx): Promise<Result<SourcedImage, Refused>> => {
    const image = await lockImage(tx, imageId);
    if (!image) return refuse("image_not_found", "there is no such image");
    if (!image.hypervisors.includes(hypervisor))
      return refuse("image_not_for_hypervisor", `${image.name} is not for ${hypervisor}`);
    if (locationIds && (await countLocations(tx, locationIds)) < locationIds.length)
      return refuse("location_not_found", "there is no such location");
    const known = image.sha256[hypervisor];
    if ((known ?? sha256) !== sha256 || (await isOtherFile(tx, image, hypervisor, sha256)))
      return refuse(
        "image_other_file",
        `the file ${image.file} has another SHA-256 already: another build is another image with another file`,
      );
    const before = await loadImageSource(tx, imageId, hypervisor);
    const done = ok({ ...wanted, sha256 });
    if (known !== undefined && before && same(before, wanted)) return done;
    if (known === undefined) await saveImageSum(tx, imageId, hypervisor, sha256);
    await saveImageSource(tx, wanted, at.now);
    await recordChange(
      tx,
      {
        actor: by,
        action: "image.source",
        subject: { kind: "image", id: imageId },
        // Not the URL: one that is signed holds a secret.
        detail: { hypervisor, sha256, host: new URL(url).host },
        events: [],
      },
      at,
    );
    return done;
  });
}

const same = (a: ImageSource, b: ImageSource): boolean =>
  a.url === b.url &&
  a.bytes === b.bytes &&
  JSON.stringify(a.locationIds) === JSON.stringify(b.locationIds);
