import type { ImageFetch, ImageProgress, WantedImages } from "#core/contracts/agent/images.ts";
import { foundInFetches, hostImageState, type HostImageState } from "#core/hosts/image-fetch.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadImage } from "#db/catalogue/catalogue.ts";
import { loadHostWithFindings } from "#db/hosts/findings.ts";
import { hostsOfImage, saveImageFetches, wantedImages } from "#db/hosts/image-fetches.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type AgentDeps, type Deps } from "#commands/deps.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";
import { logFindings, noteFindings } from "./note-findings.ts";

/**
 * Takes down how far a host is with its images, and tells it which it should hold. What it says of others counts for nothing;
 * a host at rest costs one look.
 */
export async function exchangeImages(
  deps: AgentDeps,
  hostId: string,
  { fetches }: ImageProgress,
): Promise<WantedImages> {
  const wanted = await wantedImages(deps.db, hostId);
  const told = new Map(fetches.map((fetch) => [`${fetch.file} ${fetch.sha256}`, fetch]));
  const about = wanted.flatMap(({ file, sha256, told: before }) => {
    const fetch = told.get(`${file} ${sha256}`);
    return fetch ? [{ fetch, isNew: !same(before, fetch) }] : [];
  });
  const fresh = about.filter(({ isNew }) => isNew).map(({ fetch }) => fetch);
  const found = foundInFetches(about.map(({ fetch }) => fetch));
  if (fresh.length > 0 || found.told.length > 0) {
    const at = stamp(deps);
    const noted = await inTransaction(deps.db, async (tx) => {
      await saveImageFetches(tx, hostId, fresh);
      const host = await loadHostWithFindings(tx, hostId);
      const report = { open: host?.open ?? [], ...found };
      return noteFindings(tx, hostId, report, at, { kind: "agent", id: hostId });
    });
    logFindings(deps, noted);
  }
  return {
    images: wanted.map(({ file, url, sha256, bytes }) => ({ file, url, sha256, bytes })),
  };
}

const same = (before: Omit<ImageFetch, "file" | "sha256"> | null, now: ImageFetch): boolean =>
  before?.state === now.state &&
  before.doneBytes === now.doneBytes &&
  before.totalBytes === now.totalBytes &&
  before.why === now.why;

export type HostImageOf = Readonly<{
  hostId: string;
  hostName: string;
  state: HostImageState;
  doneBytes: number;
  totalBytes: number | null;
  why: string | null;
}>;

/** The hosts that should hold an image, with how far each is. */
export async function showHostsOfImage(
  deps: Pick<Deps, "db">,
  imageId: string,
  page: PageRequest,
): Promise<Result<Page<HostImageOf>, Refusal<"image_not_found">>> {
  if (!(await loadImage(deps.db, imageId)))
    return refuse("image_not_found", "there is no such image");
  const rows = await hostsOfImage(deps.db, imageId, {
    limit: page.limit + 1,
    after: cursorToId(page.cursor),
  });
  const shown = rows.map(({ hostId, hostName, sha256, told, held }) => ({
    hostId,
    hostName,
    state: hostImageState({ wanted: sha256, held, fetch: told?.state ?? null }),
    doneBytes: told?.doneBytes ?? 0,
    totalBytes: told?.totalBytes ?? null,
    why: told?.why ?? null,
  }));
  return ok(cutPage(shown, page.limit, (host) => host.hostId));
}
