import { access, chmod, link, open, rename } from "node:fs/promises";
import path from "node:path";
import type { WantedImage } from "#core/contracts/agent/images.ts";
import type { ImageFolder } from "#host-agent/drivers/driver.ts";
import {
  discard,
  DownloadError,
  downloadVerified,
  type DownloadPorts,
  type WantedFile,
} from "#host-agent/verified-download.ts";

export type FetchPorts = Pick<DownloadPorts, "fetch" | "clock" | "progress"> &
  Readonly<{
    /** What the folder's volume has left for the agent. */
    freeBytes: (folder: string) => Promise<number>;
  }>;

const MIB = 1024 ** 2;
/** Of an image whose size nobody has told. */
const MOST_BYTES = 256 * 1024 * MIB;
/** The host's own, besides what a driver keeps for new disks. */
const RESERVE_BYTES = 1024 * MIB;
/** Then it begins anew from where it was, with a new connection. */
const TRY_MS = 6 * 3_600_000;
const MOST_REDIRECTS = 5;
/** Other hosts are near: who brings less keeps others from it, or means to. */
const LEAST_OF_PEERS_PER_MINUTE = 4 * MIB;

/** Where an image is fetched from in one try. */
export type ImageOrigin = Readonly<{
  url: string;
  /** Another host: shown to it is this, and it leads nowhere else. null: the URL that staff gave. */
  token: string | null;
}>;

/** Where a file is made before it has its name; not the name of an image. */
export const partOf = (
  { path: dir }: Pick<ImageFolder, "path">,
  { file, sha256 }: Pick<WantedImage, "file" | "sha256">,
): string => path.join(dir, `.${file}.${sha256.slice(0, 16)}.part`);
export const PART = /^\.[a-z0-9][a-z0-9._-]*\.[0-9a-f]{16}\.part(\.from)?$/;

/**
 * Fetches an image into the folder: under its name there is either nothing or the whole file with this checksum, read-only.
 * What was fetched before is gone on from, from whomever it was. A file that has the name already is never replaced. Throws
 * `DownloadError`.
 */
export async function fetchImage(
  ports: FetchPorts,
  folder: Pick<ImageFolder, "path" | "ending">,
  image: Pick<WantedImage, "file" | "sha256" | "bytes">,
  { url, token }: ImageOrigin,
  signal: AbortSignal,
): Promise<void> {
  const part = partOf(folder, image);
  const { sha256, bytes } = image;
  const wanted: WantedFile = {
    url,
    sha256,
    bytes,
    most: MOST_BYTES,
    limitMs: TRY_MS,
    ...(token === null
      ? { mostRedirects: MOST_REDIRECTS, leastPerMinute: 0 }
      : {
          headers: { authorization: `Bearer ${token}` },
          mostRedirects: 0,
          leastPerMinute: LEAST_OF_PEERS_PER_MINUTE,
        }),
  };
  const needRoom = (more: number) => mustHaveRoom(ports, folder.path, more);
  await downloadVerified({ ...ports, needRoom }, wanted, part, signal);
  await giveName(part, path.join(folder.path, `${image.file}${folder.ending}`));
}

async function mustHaveRoom(
  { freeBytes }: FetchPorts,
  folder: string,
  bytes: number,
): Promise<void> {
  const free = await freeBytes(folder);
  if (free < bytes + RESERVE_BYTES)
    throw new DownloadError(
      "no_room",
      `${Math.ceil(bytes / MIB)} MiB more and a reserve of ${RESERVE_BYTES / MIB} MiB are needed, and ${folder} has ${Math.floor(free / MIB)} MiB free`,
    );
}

/** All or nothing, and never over a file that is there: VMs may stand on that. */
async function giveName(part: string, target: string): Promise<void> {
  await chmod(part, 0o444);
  try {
    await link(part, target);
  } catch (error) {
    if (codeOf(error) === "EEXIST" || (await isThere(target))) {
      await discard(part);
      throw new DownloadError("name_taken", `${target} is there already, and is not replaced`);
    }
    // A file system without hard links, such as ReFS of before Windows Server 2022.
    await rename(part, target);
  }
  await discard(part);
  // On Windows the right to delete one name of a file is the file's.
  await chmod(target, 0o444);
  if (process.platform === "win32") return;
  const folder = await open(path.dirname(target), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;
