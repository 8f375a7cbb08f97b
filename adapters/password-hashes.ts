import { APIError } from "better-auth/api";
import { hashPassword, verifyPassword } from "better-auth/crypto";

/**
 * A password's hash takes 32 MiB and a processor for 50 ms and more. Two under way leave half of Node's four threads to files and
 * names of hosts; eight more may wait, less than a second; beyond that whoever asks is told to come again, so that forty at once
 * cost the others nothing (4b B1: their median went from 74 ms to 16.5 s).
 */
export const HASHES = { atOnce: 2, waiting: 8 } as const;

const BUSY = {
  code: "TOO_MANY_LOG_INS",
  message: "Too many passwords are being checked at this moment. Please try again.",
};

export type Hashing = Readonly<{
  hashPassword: typeof hashPassword;
  verifyPassword: typeof verifyPassword;
}>;

/** better-auth's hashing of passwords, a few at a time in this process. `hash` and `verify` refuse when too many wait. */
export function createPasswordHashes(hashing: Hashing = { hashPassword, verifyPassword }) {
  let underWay = 0;
  const waiting: (() => void)[] = [];

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (underWay < HASHES.atOnce) underWay += 1;
    // Whoever ends hands its turn on: nobody who comes in between takes it.
    else await new Promise<void>((begin) => waiting.push(begin));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else underWay -= 1;
    }
  }
  const unlessBusy = async <T>(work: () => Promise<T>): Promise<T> => {
    if (underWay >= HASHES.atOnce && waiting.length >= HASHES.waiting)
      throw new APIError("SERVICE_UNAVAILABLE", BUSY, { "retry-after": "1" });
    return inTurn(work);
  };
  return {
    hash: (password: string) => unlessBusy(() => hashing.hashPassword(password)),
    verify: (both: { hash: string; password: string }) =>
      unlessBusy(() => hashing.verifyPassword(both)),
    /** Waits however many there are: for what was begun and must not be left half done. */
    hashInTurn: (password: string) => inTurn(() => hashing.hashPassword(password)),
  };
}
export type PasswordHashes = ReturnType<typeof createPasswordHashes>;
