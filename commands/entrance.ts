import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { callerOf } from "#core/network/caller-network.ts";
import {
  CALLER_ADDRESS_HEADER,
  ENTRANCE_HEADER,
  VIEWER_HEADER,
} from "#core/network/entrance-headers.ts";

const MIN_LENGTH = 32;

/**
 * Both are accepted, so that one can be changed while CloudFront sends the other (docs/runbooks/entrance-secret.md). What is
 * too short to be a secret, as one that was never set, opens nothing.
 */
const EntranceSecret = z.object({ a: z.string(), b: z.string() });

const Headed = z.object({ headers: z.record(z.string(), z.string().optional()) });

/**
 * Lets in what came through CloudFront, where requests are counted and filtered: the event with its caller's address, which is
 * CloudFront's word and no client's, and without the secret. Undefined for what came another way. `secret` is JSON; one that
 * lets nobody in throws.
 */
export function createEntrance(secret: string) {
  const accepted = Object.values(EntranceSecret.parse(JSON.parse(secret)))
    .filter((value) => value.length >= MIN_LENGTH)
    .map(hashOf);
  if (accepted.length === 0) throw new Error("the entrance's secret holds no value");
  // All are compared, each in the same time whatever is sent: hashes are of one length.
  const opens = (sent: string): boolean =>
    accepted.map((value) => timingSafeEqual(value, hashOf(sent))).includes(true);

  return <E extends object>(event: E): E | undefined => {
    const { headers } = Headed.safeParse(event).data ?? {};
    const {
      [ENTRANCE_HEADER]: sent = "",
      [VIEWER_HEADER]: address = "",
      ...others
    } = headers ?? {};
    if (!opens(sent) || callerOf(address) === undefined) return undefined;
    return { ...event, headers: { ...others, [CALLER_ADDRESS_HEADER]: address } };
  };
}

const hashOf = (text: string): Buffer => createHash("sha256").update(text).digest();
