import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import {
  imagePathOf,
  MOST_WHY_CHARS,
  type ImageFetch,
  type ImagePeer,
  type ImageServing,
  type WantedImage,
} from "#core/contracts/agent/images.ts";
import type { Clock, Log } from "#core/ports.ts";
import { ControlPlaneError, type ControlPlane } from "#host-agent/channel/control-plane.ts";
import type { ImageFolder } from "#host-agent/drivers/driver.ts";
import { backOffMs } from "#host-agent/time-limit.ts";
import { DownloadError } from "#host-agent/verified-download.ts";
import { fetchImage, isThere, PART, partOf, type FetchPorts } from "./fetch-image.ts";

/**
 * Fetches what this host should hold, one image at a time, and tells how far it is: from hosts near that hold it, and otherwise
 * from its URL. It deletes no image, ever.
 */
export interface ImageKeeper {
  /** Tells how far it is, hears what is wanted, and goes on in the background. Returns how many are wanted. */
  exchange(): Promise<number>;
  /** How long to wait before the next exchange. */
  nextMs(): number;
  /** The names of the images with this checksum that this host should hold. */
  filesOf(sha256: string): readonly string[];
  /** Resolves when nothing is being fetched. */
  idle(): Promise<void>;
}

const SOON_MS = 10_000;
const FETCHING_MS = 30_000;
const AT_REST_MS = 5 * 60_000;
const MOST_BACK_OFF_MS = 3_600_000;

/** So long other hosts are waited for, which are busy or about to have it; then its URL is asked all the same. */
const PATIENCE_MS = 2 * 3_600_000;
const ASK_AGAIN_MS = 20_000;
/** A host that did not do is passed over for so long, and one that sent another file for longer. */
const PASS_OVER_MS = 5 * 60_000;
const DISTRUST_MS = 24 * 3_600_000;
/** What is amiss with this host or its folder, whoever sends. */
const OUR_OWN = new Set<unknown>(["no_room", "name_taken"]);

type Kept = {
  image: WantedImage;
  fetch: ImageFetch;
  failures: number;
  retryAt: number;
  /** Since when other hosts are waited for; null: they are not. */
  waitsSince: number | null;
  /** By host, until when it is not asked for this image. */
  passedOver: Map<string, number>;
};

export function createImageKeeper(
  ports: Omit<FetchPorts, "progress"> & {
    folder: Pick<ImageFolder, "path" | "ending">;
    controlPlane: Pick<ControlPlane, "images">;
    /** Where other hosts may fetch from this one, now; left out: nowhere. */
    serving?: () => Promise<ImageServing | null>;
    clock: Clock;
    log: Log;
    signal: AbortSignal;
  },
): ImageKeeper {
  const { folder, controlPlane, clock, log, signal } = ports;
  let kept = new Map<string, Kept>();
  let working: { key: string; stop: AbortController; ended: Promise<void> } | null = null;
  let exchanged = false;

  const keyOf = ({ file, sha256, url }: WantedImage) => JSON.stringify([file, sha256, url]);
  const targetOf = ({ file }: WantedImage) => path.join(folder.path, `${file}${folder.ending}`);

  /** What is wanted now; of what was known before, with how far it is. */
  async function take(images: readonly WantedImage[]): Promise<void> {
    const next = new Map<string, Kept>();
    for (const image of images) {
      const { file, sha256, bytes } = image;
      const fetch = { file, sha256, doneBytes: 0, totalBytes: bytes, why: null } as const;
      const known = kept.get(keyOf(image));
      const one = known ?? {
        image,
        fetch: { ...fetch, state: "waiting" },
        failures: 0,
        retryAt: 0,
        waitsSince: null,
        passedOver: new Map<string, number>(),
      };
      // Who has it now may be asked at once, however long the URL is left alone.
      if (newPeers(one, image)) one.retryAt = 0;
      one.image = image;
      // Whether it is the right file is told by its checksum, with the host's facts.
      if (working?.key !== keyOf(image)) {
        const held = await isThere(targetOf(image));
        if (held && one.fetch.state !== "held") one.fetch = { ...fetch, state: "held" };
        else if (!held && one.fetch.state === "held") one.fetch = { ...fetch, state: "waiting" };
      }
      next.set(keyOf(image), one);
    }
    kept = next;
    if (working && !kept.has(working.key)) working.stop.abort();
  }

  /** What is left of images that nobody wants any more. Never an image: those have other names. */
  async function clearParts(): Promise<void> {
    const wanted = new Set(
      [...kept.values()].map(({ image }) => path.basename(partOf(folder, image))),
    );
    for (const name of await readdir(folder.path))
      if (PART.test(name) && !wanted.has(name.replace(/\.from$/, "")))
        await rm(path.join(folder.path, name), { force: true });
  }

  /** Whether hosts are named that were not, and are not passed over. */
  const newPeers = (one: Kept, { peers = [] }: WantedImage): boolean => {
    const before = new Set(one.image.peers?.map(({ hostId }) => hostId));
    return peers.some((peer) => !before.has(peer.hostId) && isAsked(one, peer));
  };
  const isAsked = ({ passedOver }: Kept, { hostId }: ImagePeer): boolean =>
    (passedOver.get(hostId) ?? 0) <= clock.now().getTime();

  async function fetchFrom(one: Kept, peer: ImagePeer | null, stop: AbortSignal): Promise<void> {
    const { image } = one;
    const { peerId: _, ...fetch } = one.fetch;
    one.fetch = {
      ...fetch,
      state: "fetching",
      ...(peer === null ? { source: "url" } : { source: "peer", peerId: peer.hostId }),
    };
    const progress = (doneBytes: number, totalBytes: number | null) => {
      one.fetch = { ...one.fetch, doneBytes, totalBytes };
    };
    const origin =
      peer === null
        ? { url: image.url, token: null }
        : { url: urlOf(peer, image.sha256), token: peer.token };
    await fetchImage({ ...ports, progress }, folder, image, origin, stop);
  }

  /** From the first host that gives it. `busy`: one would, and has no place now. Throws what is amiss with this host. */
  async function tryPeers(one: Kept, stop: AbortSignal): Promise<"had" | "busy" | "none"> {
    let came: "busy" | "none" = "none";
    for (const peer of one.image.peers ?? []) {
      if (!isAsked(one, peer)) continue;
      try {
        await fetchFrom(one, peer, stop);
        return "had";
      } catch (error) {
        stop.throwIfAborted();
        if (!(error instanceof DownloadError) || OUR_OWN.has(error.code)) throw error;
        if (error.status === 503) {
          came = "busy";
          continue;
        }
        const isWrong = error.code === "wrong_checksum" || error.code === "wrong_size";
        const until = clock.now().getTime() + (isWrong ? DISTRUST_MS : PASS_OVER_MS);
        one.passedOver.set(peer.hostId, until);
        const { file, sha256 } = one.image;
        const told = { file, sha256, from: peer.hostId, why: error.message };
        log.error("image_peer_failed", told);
      }
    }
    return came;
  }

  async function work(one: Kept, stop: AbortSignal): Promise<void> {
    const { image } = one;
    const fields = { file: image.file, sha256: image.sha256 };
    log.info("image_fetch_begun", fields);
    try {
      const came = await tryPeers(one, stop);
      const now = clock.now().getTime();
      if (came === "busy" || (came === "none" && image.peersSoon === true)) {
        one.waitsSince ??= now;
        if (now - one.waitsSince < PATIENCE_MS) {
          one.fetch = { ...one.fetch, state: "waiting" };
          one.retryAt = now + ASK_AGAIN_MS;
          return;
        }
      }
      if (came !== "had") await fetchFrom(one, null, stop);
      one.fetch = { ...one.fetch, state: "held", why: null };
      one.waitsSince = null;
      const { doneBytes: bytes, source, peerId } = one.fetch;
      log.info("image_fetched", { ...fields, bytes, source, from: peerId });
    } catch (error) {
      if (stop.aborted) return;
      one.failures += 1;
      one.retryAt = clock.now().getTime() + backOffMs(one.failures + 5, MOST_BACK_OFF_MS);
      // What no word of ours is for may hold anything: its kind alone is told.
      const why = error instanceof DownloadError ? error.message : `failed: ${nameOf(error)}`;
      one.fetch = { ...one.fetch, state: "failed", why: why.slice(0, MOST_WHY_CHARS) };
      log.error("image_fetch_failed", { ...fields, why });
    }
  }

  /** One at a time: disks and lines are the guests'. */
  function goOn(): void {
    if (working !== null || signal.aborted) return;
    const now = clock.now().getTime();
    const due = [...kept].find(
      ([, { fetch, retryAt }]) => fetch.state !== "held" && retryAt <= now,
    );
    if (due === undefined) return;
    const [key, one] = due;
    const stop = new AbortController();
    const ended = work(one, AbortSignal.any([signal, stop.signal])).finally(() => {
      working = null;
      goOn();
    });
    working = { key, stop, ended };
  }

  return {
    async exchange() {
      exchanged = true;
      const fetches = [...kept.values()].map(({ fetch }) => fetch);
      try {
        const serves = (await ports.serving?.()) ?? null;
        const told = { fetches, ...(serves && { serves }) };
        const { images } = await controlPlane.images(told, signal);
        await take(images);
      } catch (error) {
        // A control plane of before has no such thing.
        if (error instanceof ControlPlaneError && error.status === 404) return 0;
        throw error;
      }
      if (working === null) await clearParts();
      goOn();
      return kept.size;
    },
    nextMs() {
      if (!exchanged) return SOON_MS;
      const waits = [...kept.values()].some(
        ({ fetch, waitsSince }) => fetch.state === "waiting" && waitsSince !== null,
      );
      return working === null && !waits ? AT_REST_MS : FETCHING_MS;
    },
    filesOf: (sha256) =>
      [...kept.values()]
        .filter(({ image }) => image.sha256 === sha256)
        .map(({ image }) => image.file),
    async idle() {
      for (let last = working; last !== null; last = working) await last.ended;
    },
  };
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

const urlOf = ({ address, port }: ImagePeer, sha256: string): string =>
  `http://${address.includes(":") ? `[${address}]` : address}:${port}${imagePathOf(sha256)}`;
