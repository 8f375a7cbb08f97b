import { readdir, rm } from "node:fs/promises";
import path from "node:path";
import { MOST_WHY_CHARS, type ImageFetch, type WantedImage } from "#core/contracts/agent/images.ts";
import type { Clock, Log } from "#core/ports.ts";
import { ControlPlaneError, type ControlPlane } from "#host-agent/channel/control-plane.ts";
import type { ImageFolder } from "#host-agent/drivers/driver.ts";
import { backOffMs } from "#host-agent/time-limit.ts";
import {
  fetchImage,
  ImageFetchError,
  isThere,
  PART,
  partOf,
  type FetchPorts,
} from "./fetch-image.ts";

/** Fetches what this host should hold, one image at a time, and tells how far it is. It deletes no image, ever. */
export interface ImageKeeper {
  /** Tells how far it is, hears what is wanted, and goes on in the background. Returns how many are wanted. */
  exchange(): Promise<number>;
  /** How long to wait before the next exchange. */
  nextMs(): number;
  /** Resolves when nothing is being fetched. */
  idle(): Promise<void>;
}

const SOON_MS = 10_000;
const FETCHING_MS = 30_000;
const AT_REST_MS = 5 * 60_000;
const MOST_BACK_OFF_MS = 3_600_000;

type Kept = { image: WantedImage; fetch: ImageFetch; failures: number; retryAt: number };

export function createImageKeeper(
  ports: Omit<FetchPorts, "progress"> & {
    folder: ImageFolder;
    controlPlane: Pick<ControlPlane, "images">;
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
      };
      // Whether it is the right file is told by its checksum, with the host's facts.
      if (working?.key !== keyOf(image)) {
        const held = await isThere(targetOf(image));
        if (held) one.fetch = { ...fetch, state: "held" };
        else if (one.fetch.state === "held") one.fetch = { ...fetch, state: "waiting" };
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

  async function work(one: Kept, stop: AbortSignal): Promise<void> {
    const { image } = one;
    const fields = { file: image.file, sha256: image.sha256 };
    const progress = (doneBytes: number, totalBytes: number | null) => {
      one.fetch = { ...one.fetch, doneBytes, totalBytes };
    };
    one.fetch = { ...one.fetch, state: "fetching" };
    log.info("image_fetch_begun", fields);
    try {
      await fetchImage({ ...ports, progress }, folder, image, stop);
      one.fetch = { ...one.fetch, state: "held", why: null };
      log.info("image_fetched", { ...fields, bytes: one.fetch.doneBytes });
    } catch (error) {
      if (stop.aborted) return;
      one.failures += 1;
      one.retryAt = clock.now().getTime() + backOffMs(one.failures + 5, MOST_BACK_OFF_MS);
      // What no word of ours is for may hold anything: its kind alone is told.
      const why = error instanceof ImageFetchError ? error.message : `failed: ${nameOf(error)}`;
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
        const { images } = await controlPlane.images({ fetches }, signal);
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
      return working === null ? AT_REST_MS : FETCHING_MS;
    },
    async idle() {
      for (let last = working; last !== null; last = working) await last.ended;
    },
  };
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
