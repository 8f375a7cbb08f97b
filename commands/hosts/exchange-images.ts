import { SignJWT } from "jose";
import {
  IMAGE_TOKEN_SECONDS,
  type ImageFetch,
  type ImagePeer,
  type ImageProgress,
  type ImageServing,
  type WantedImage,
  type WantedImages,
} from "#core/contracts/agent/images.ts";
import {
  foundInFetches,
  hostImageState,
  cameFrom,
  type HostImageState,
  type ImageCameFrom,
} from "#core/hosts/image-fetch.ts";
import { mayBeDialled, peersFor, type ImageSourceKind } from "#core/hosts/image-peers.ts";
import { silentBefore } from "#core/hosts/place-vm.ts";
import type { Sealer } from "#core/ports.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadImage } from "#db/catalogue/catalogue.ts";
import { loadHostWithFindings } from "#db/hosts/findings.ts";
import { hostsOfImage, saveImageFetches, wantedImages } from "#db/hosts/image-fetches.ts";
import { imageServersFor, saveImageServer, type ServerAddress } from "#db/hosts/image-servers.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type AgentDeps, type Deps } from "#commands/deps.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";
import { logFindings, noteFindings } from "./note-findings.ts";

/** Peers are named for so many of what a host lacks; it fetches one at a time, in this order. */
const MOST_NAMED_FOR = 20;

/**
 * Takes down how far a host is with its images and whether it serves them, and tells it which it should hold, and which hosts
 * near have what it lacks. What it says of others counts for nothing; a host at rest costs one look.
 */
export async function exchangeImages(
  deps: AgentDeps,
  hostId: string,
  { fetches, serves }: ImageProgress,
): Promise<WantedImages> {
  const wanted = await wantedImages(deps.db, hostId);
  const told = new Map(fetches.map((fetch) => [`${fetch.file} ${fetch.sha256}`, fetch]));
  const about = wanted.flatMap(({ file, sha256, told: before }) => {
    const fetch = told.get(`${file} ${sha256}`);
    if (!fetch) return [];
    const now = { ...fetch, ...cameFrom(fetch, before) };
    return [{ fetch: now, isNew: !same(before, now) }];
  });
  const fresh = about.filter(({ isNew }) => isNew).map(({ fetch }) => fetch);
  const found = foundInFetches(about.map(({ fetch }) => fetch));
  // Of a host that should hold nothing it does not matter.
  const [row] = wanted;
  const serving = row ? servingOf(deps, hostId, row.serves, serves) : undefined;
  if (fresh.length > 0 || found.told.length > 0 || serving !== undefined) {
    const at = stamp(deps);
    const noted = await inTransaction(deps.db, async (tx) => {
      if (serving !== undefined) await saveImageServer(tx, hostId, serving);
      await saveImageFetches(tx, hostId, fresh);
      const host = await loadHostWithFindings(tx, hostId);
      const report = { open: host?.open ?? [], ...found };
      return noteFindings(tx, hostId, report, at, { kind: "agent", id: hostId });
    });
    logFindings(deps, noted);
  }
  const lacked = wanted
    .map((image) => ({
      ...image,
      state: told.get(`${image.file} ${image.sha256}`)?.state ?? image.told?.state,
    }))
    .filter(({ state }) => state !== "held")
    .slice(0, MOST_NAMED_FOR);
  const named = await namePeers(deps, hostId, lacked, serves !== undefined);
  return {
    images: wanted.map(({ file, url, sha256, bytes }) => ({
      file,
      url,
      sha256,
      bytes,
      ...named.get(file),
    })),
  };
}

/** What is to be written of where a host serves images: null that it does not, undefined nothing new. */
function servingOf(
  { sealer, log }: AgentDeps,
  hostId: string,
  before: ServerAddress | null,
  now: ImageServing | undefined,
): ServerAddress | null | undefined {
  if (now !== undefined && !mayBeDialled(now.address))
    log.error("host.serves_where_nobody_dials", { host_id: hostId, address: now.address });
  const next = now !== undefined && mayBeDialled(now.address) ? now : null;
  if (next === null) return before === null ? undefined : null;
  const { address, port, key } = next;
  const isKnown =
    before?.address === address &&
    before.port === port &&
    openKey(sealer, hostId, before.sealedKey) === key;
  return isKnown ? undefined : { address, port, sealedKey: sealer.seal(key, hostId) };
}

/** null: it was sealed under another secret. It is told anew at its host's next exchange. */
function openKey(sealer: Sealer, hostId: string, sealed: string): string | null {
  try {
    return sealer.open(sealed, hostId);
  } catch {
    return null;
  }
}

type Lacked = Readonly<{
  file: string;
  sha256: string;
  locationIds: readonly string[] | null;
  hostLocationId: string;
  state: ImageFetch["state"] | undefined;
}>;

/** By file, for what a host lacks. One statement, whatever it lacks and whoever serves. */
async function namePeers(
  deps: AgentDeps,
  hostId: string,
  lacked: readonly Lacked[],
  serves: boolean,
): Promise<Map<string, Pick<WantedImage, "peers" | "peersSoon">>> {
  const named = new Map<string, Pick<WantedImage, "peers" | "peersSoon">>();
  if (lacked.length === 0) return named;
  const now = deps.clock.now();
  const servers = await imageServersFor(deps.db, hostId, lacked, silentBefore(now));
  if (servers.length === 0) return named;
  const until = Math.floor(+now / 1000) + IMAGE_TOKEN_SECONDS;
  for (const image of lacked) {
    const { file, sha256, hostLocationId: locationId } = image;
    const asker = { hostId, locationId, serves: serves && image.state !== "failed" };
    const { peers, soon } = peersFor(asker, image, servers);
    const offered = await Promise.all(
      peers.map(async (peer): Promise<ImagePeer[]> => {
        const full = servers.find((server) => server.hostId === peer.hostId);
        const key = full ? openKey(deps.sealer, full.hostId, full.sealedKey) : null;
        if (!full || key === null) return [];
        const token = await new SignJWT({ sha256 })
          .setProtectedHeader({ alg: "HS256" })
          .setSubject(hostId)
          .setAudience(full.hostId)
          .setExpirationTime(until)
          .sign(Buffer.from(key, "base64url"));
        return [{ hostId: full.hostId, address: full.address, port: full.port, token }];
      }),
    );
    named.set(file, { peers: offered.flat(), peersSoon: soon });
  }
  return named;
}

type Told = Omit<ImageFetch, "file" | "sha256" | keyof ImageCameFrom> & ImageCameFrom;
const same = (before: Told | null, now: Told): boolean =>
  before?.state === now.state &&
  before.doneBytes === now.doneBytes &&
  before.totalBytes === now.totalBytes &&
  before.why === now.why &&
  before.source === now.source &&
  before.peerId === now.peerId;

export type HostImageOf = Readonly<{
  hostId: string;
  hostName: string;
  state: HostImageState;
  doneBytes: number;
  totalBytes: number | null;
  why: string | null;
  /** By its own word; null: it says nothing of it. */
  source: ImageSourceKind | null;
  sourceHost: Readonly<{ id: string; name: string }> | null;
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
  const shown = rows.map(({ hostId, hostName, sha256, told, held, peer }) => ({
    hostId,
    hostName,
    state: hostImageState({ wanted: sha256, held, fetch: told?.state ?? null }),
    doneBytes: told?.doneBytes ?? 0,
    totalBytes: told?.totalBytes ?? null,
    why: told?.why ?? null,
    source: told?.source ?? null,
    sourceHost: peer,
  }));
  return ok(cutPage(shown, page.limit, (host) => host.hostId));
}
