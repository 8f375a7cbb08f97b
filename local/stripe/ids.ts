import { createHash, randomBytes } from "node:crypto";

/** Where new ids come from: `next("cus")` → `cus_…`. */
export type StripeIds = { next: (prefix: string) => string };

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const LENGTH = 24;

const letters = (bytes: Uint8Array): string =>
  Array.from(bytes.subarray(0, LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]).join("");

/** The same seed and the same calls give the same ids. Each prefix counts alone, so that a read moves no other id. */
export function seededIds(seed: string): StripeIds {
  const counts = new Map<string, number>();
  return {
    next: (prefix) => {
      const count = (counts.get(prefix) ?? 0) + 1;
      counts.set(prefix, count);
      return `${prefix}_${letters(createHash("sha256").update(`${seed}\n${prefix}\n${count}`).digest())}`;
    },
  };
}

/** Ids that never repeat, also across restarts: what a stand-in with a state file needs. */
export const randomIds = (): StripeIds => ({
  next: (prefix) => `${prefix}_${letters(randomBytes(LENGTH))}`,
});
