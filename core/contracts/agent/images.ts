import { z } from "@hono/zod-openapi";
import { FETCH_STATES } from "#core/hosts/image-fetch.ts";
import { MOST_PEERS } from "#core/hosts/image-peers.ts";
import { use } from "#core/contracts/named.ts";
import { ImageFetchSource, ImageFileName, Ipv4, Sha256, Text } from "#core/contracts/values.ts";

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
    /** Whence it comes, or came last. Left out: from nowhere yet, or its agent is of before. */
    source: use(ImageFetchSource).optional(),
    /** The host that it comes from, when another host is its source. */
    peerId: z.uuid().optional(),
  })
  .openapi("ImageFetch");
export type ImageFetch = z.infer<typeof ImageFetch>;

const port = z.int().min(1).max(65_535);
const address = z.union([Ipv4, z.ipv6().openapi({ format: "ipv6", example: "fd00::5" })]);

const ImageServing = z
  .object({
    /** Of this host, for those around it. */
    address,
    port,
    /** 32 bytes in base64url, made anew at each start of the agent: askers' tokens are signed with it (HS256), and it alone checks them. */
    key: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  })
  .openapi("ImageServing");
export type ImageServing = z.infer<typeof ImageServing>;

/** `POST /agent/v1/images`: how far the host is with what it was told before. */
export const ImageProgress = z
  .object({
    fetches: z.array(use(ImageFetch)).max(MOST_IMAGES),
    /** Where other hosts may fetch from this one. Left out: nowhere. Told each time, as long as it is so. */
    serves: use(ImageServing).optional(),
  })
  .openapi("ImageProgress");
export type ImageProgress = z.infer<typeof ImageProgress>;

const ImagePeer = z
  .object({
    hostId: z.uuid(),
    address,
    port,
    /** For this image, from this host to that one, to be shown within `IMAGE_TOKEN_SECONDS`. Never to be logged. */
    token: z.string().max(2000),
  })
  .openapi("ImagePeer");
export type ImagePeer = z.infer<typeof ImagePeer>;

/** How long an asker may wait before it shows its token. What it has begun by then it may end. */
export const IMAGE_TOKEN_SECONDS = 600;
/** What a peer's token says; `aud` is the host that serves, which checks it in the control plane's time. */
export const ImageTokenClaims = z.object({
  /** The host that asks: for the log alone. */
  sub: z.uuid(),
  sha256: Sha256,
  exp: z.number(),
});
/** Where a host serves an image: its checksum is all that is said of it. */
export const imagePathOf = (sha256: string): string => `/berth-images/${sha256}`;

const ImageToFetch = z
  .object({
    file: ImageFileName,
    url: z.url({ protocol: /^https?$/ }).max(2000),
    sha256: Sha256,
    /** The file's size; null: not told. */
    bytes: z.int().positive().nullable(),
    /** Hosts that hold it and serve it, to be asked before the URL. Agents of before pass it over, and ask the URL. */
    peers: z.array(use(ImagePeer)).max(MOST_PEERS).optional(),
    /** Another host near is to fetch it from the URL and to serve it then: the line is spared by waiting for that. */
    peersSoon: z.boolean().optional(),
  })
  .openapi("ImageToFetch");
export type WantedImage = z.infer<typeof ImageToFetch>;

/** What the host should hold. What is not in it is not asked for: it is never a reason to delete anything. */
export const WantedImages = z
  .object({ images: z.array(use(ImageToFetch)).max(MOST_IMAGES) })
  .openapi("WantedImages");
export type WantedImages = z.infer<typeof WantedImages>;
