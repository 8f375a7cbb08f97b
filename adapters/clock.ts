import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { v7 } from "uuid";
import type { Clock, IdSource, SecretSource } from "#core/ports.ts";

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => new Date(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal ? { signal } : {});
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  },
};

export const systemIds: IdSource = { newId: () => v7() };

export const systemSecrets: SecretSource = {
  newSecret: (bytes) => randomBytes(bytes).toString("base64url"),
};
