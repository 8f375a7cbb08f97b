import { stat } from "node:fs/promises";
import { z } from "zod";
import type { HeldImage } from "#core/contracts/agent/report.ts";
import type { Log } from "#core/ports.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";
import { sha256Of } from "#host-agent/verified-download.ts";
import { DriverError } from "./driver.ts";

/** A file in the image folder that is whole and flat. */
export type ImageFile = Readonly<{ file: string; path: string; virtualBytes: number }>;

/** By the image's name. `first`: what it was when it was first read through; VMs' disks lie on that. */
const Sums = z.record(
  z.string(),
  z.object({
    /** Of the file as it was read through: size, last change, inode. */
    state: z.string(),
    sha256: z.string(),
    first: z.string(),
  }),
);
type Sums = z.infer<typeof Sums>;
const SAVED = "images.json";

/** A file up to this size is read through while its caller waits; it takes a fraction of a second. */
const SMALL_BYTES = 64 * 1024 ** 2;

/**
 * Knows the checksums of a host's images, and tells one that became another under its name: the disks of VMs lie on it,
 * and are broken by that. A file is read through once, and again when its size, inode or time of change differ; a large
 * one beside everything else, so that the first look at it does not know its sum yet.
 *
 * What it knows is a file of the host's (`images.json`): staff who meant the change take the image's entry out of it.
 */
export function createImageShelf({ store, log }: { store: StateStore; log: Log }) {
  let sums: Promise<Sums> | undefined;
  const reading = new Map<string, Promise<void>>();
  const known = () =>
    (sums ??= loadSaved(store, SAVED, Sums).then(
      (saved) => saved ?? {},
      (error: unknown) => {
        sums = undefined;
        throw error;
      },
    ));

  async function readThrough({ file, path }: ImageFile, state: string): Promise<void> {
    const sha256 = await sha256Of(path);
    // What changed while it was read is read again at the next look.
    if ((await stateOf(path)).state !== state) return;
    const all = await known();
    const { first = sha256 } = all[file] ?? {};
    all[file] = { state, sha256, first };
    await save(store, SAVED, all);
    if (sha256 !== first) log.error("image_changed", { file, was: first, is: sha256 });
  }

  /** One reader a file, however many ask. */
  function once(image: ImageFile, state: string): Promise<void> {
    const reader =
      reading.get(image.file) ??
      readThrough(image, state).finally(() => reading.delete(image.file));
    reading.set(image.file, reader);
    return reader;
  }

  /** What is known of the file as it is now; undefined: it was not read through yet. */
  async function lookUp(image: ImageFile, wait: boolean): Promise<Sums[string] | undefined> {
    const now = await stateOf(image.path);
    const sum = (await known())[image.file];
    if (sum?.state === now.state) return sum;
    const reader = once(image, now.state);
    if (!wait && now.bytes > SMALL_BYTES) {
      reader.catch((error: unknown) =>
        log.error("image_unreadable", { file: image.file, error: String(error) }),
      );
      return undefined;
    }
    await reader;
    const read = (await known())[image.file];
    return read?.state === now.state ? read : undefined;
  }

  return {
    /** What is told of these files now. One that cannot be read is left out. */
    async describe(images: readonly ImageFile[]): Promise<HeldImage[]> {
      const held: HeldImage[] = [];
      for (const image of images) {
        const { file, virtualBytes } = image;
        try {
          const sum = await lookUp(image, false);
          const changed = sum !== undefined && sum.sha256 !== sum.first;
          held.push({ file, virtualBytes, sha256: sum?.sha256 ?? null, changed });
        } catch (error) {
          log.error("image_unreadable", { file, error: String(error) });
        }
      }
      return held;
    },

    /** The checksum that is told of the file now, as far as it is known and is what it was first. Reads nothing through. */
    async sumOf({ file, path }: Pick<ImageFile, "file" | "path">): Promise<string | null> {
      const now = await stateOf(path).catch(() => null);
      const sum = (await known())[file];
      return sum && sum.state === now?.state && sum.sha256 === sum.first ? sum.sha256 : null;
    },

    /**
     * The same, and reads the file through where it was touched since: libvirt's giving it to QEMU's user is a touch too.
     * null: it is not what it was first. Throws when it cannot be read.
     */
    async readSumOf(image: ImageFile): Promise<string | null> {
      const sum = await lookUp(image, true);
      return sum && sum.sha256 === sum.first ? sum.sha256 : null;
    },

    /**
     * Throws `image_missing` when the file is another one than VMs were made from before. Reads it through only when it was
     * touched since it last was: a new image is not waited for.
     */
    async confirm(image: ImageFile): Promise<void> {
      if ((await known())[image.file] === undefined) return;
      const sum = await lookUp(image, true);
      if (sum === undefined || sum.sha256 !== sum.first)
        throw new DriverError(
          "image_missing",
          `image ${image.file} is not the file any more that it was under this name`,
        );
    },
  };
}
/** The images that are another file than they were, as far as they were read through. Throws `CorruptState`. */
export async function changedImages(store: StateStore): Promise<string[]> {
  const sums = (await loadSaved(store, SAVED, Sums)) ?? {};
  return Object.keys(sums).filter((file) => sums[file]?.sha256 !== sums[file]?.first);
}
export type ImageShelf = ReturnType<typeof createImageShelf>;

async function stateOf(path: string): Promise<{ state: string; bytes: number }> {
  const { size, ino, ctimeMs } = await stat(path);
  return { state: `${size} ${ino} ${ctimeMs}`, bytes: size };
}
