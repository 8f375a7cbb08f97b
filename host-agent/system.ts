import { randomInt } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { v7 } from "uuid";
import type { Clock, IdSource } from "#core/ports.ts";

/** The machine's own time, ids and chance: what every other part of the agent is given. */
export const systemClock: Clock = {
  now: () => new Date(),
  sleep: async (ms, signal) => {
    try {
      await wait(ms, undefined, signal ? { signal } : {});
    } catch (error) {
      // Node says only that it was aborted; the port promises why.
      throw signal?.aborted ? signal.reason : error;
    }
  },
};

/** Milliseconds by the kernel's monotonic clock: whoever sets the host's time does not move it. */
export const systemUptimeMs = (): number => performance.now();

export const systemIds: IdSource = { newId: () => v7() };

const PARTS = 2 ** 32;
/** 0 to 1. */
export const systemRandom = (): number => randomInt(PARTS) / PARTS;
