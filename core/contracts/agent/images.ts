import { z } from "@hono/zod-openapi";
import { FETCH_STATES } from "#core/hosts/image-fetch.ts";
import { use } from "#core/contracts/named.ts";
import { ImageFileName, Sha256, Text } from "#core/contracts/values.ts";

/** So many fit into a request of the usual length, each with its reason. */
export const MOST_IMAGES = 200;
export const MOST_WHY_CHARS = 300;
const bytes = z.int().nonnegative();

const ImageFetch = z
  .object({
    file: ImageFileName,
    sha256: Sha256,
    state: z.enum(FETCH_STATES).openapi("ImageFetchState"),
    doneBytes: bytes,
    /** null while nobody has said it. */
    totalBytes: bytes.nullable(),
    /** Why it last failed, for people; null: it did not. */
    why: Text(MOST_WHY_CHARS).nullable(),
  })
  .openapi("ImageFetch");
export type ImageFetch = z.infer<typeof ImageFetch>;

/** `POST /agent/v1/images`: how far the host is with what it was told before. */
export const ImageProgress = z
  .object({ fetches: z.array(use(ImageFetch)).max(MOST_IMAGES) })
  .openapi("ImageProgress");
export type ImageProgress = z.infer<typeof ImageProgress>;

const ImageToFetch = z
  .object({
    file: ImageFileName,
    url: z.url({ protocol: /^https?$/ }).max(2000),
    sha256: Sha256,
    /** The file's size; null: not told. */
    bytes: z.int().positive().nullable(),
  })
  .openapi("ImageToFetch");
export type WantedImage = z.infer<typeof ImageToFetch>;

/** What the host should hold. What is not in it is not asked for: it is never a reason to delete anything. */
export const WantedImages = z
  .object({ images: z.array(use(ImageToFetch)).max(MOST_IMAGES) })
  .openapi("WantedImages");
export type WantedImages = z.infer<typeof WantedImages>;
