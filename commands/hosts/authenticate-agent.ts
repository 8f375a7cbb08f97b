import { createHash } from "node:crypto";
import { decodeJwt, errors, importJWK, jwtVerify } from "jose";
import { z } from "zod";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadHost } from "#db/hosts/hosts.ts";
import type { Deps } from "#commands/deps.ts";

export const AGENT_AUDIENCE = "berth-agent-api";
const MOST_LIFE_S = 60;
/** Clocks of hosts may be off by this much. */
const CLOCK_SKEW_S = 30;
/** How long a host's key is believed without another look: what a re-enrolment may take to bite. */
const KEY_FRESH_MS = 10_000;

const Claims = z.object({
  htm: z.string(),
  htu: z.string(),
  bsha256: z.string(),
  iat: z.number(),
  exp: z.number(),
  jti: z.string().min(8).max(100),
});

/**
 * Makes the check of an agent's signature: a JWT signed by the host's enrolled Ed25519 key, at most 60 s long, and
 * bound to this method, path and body, so that a copied token can only repeat the very same request (RFC 9449 does
 * the same for people's tokens). Everything an agent posts may be repeated harmlessly.
 */
export function createAgentAuthenticator(deps: Pick<Deps, "db" | "clock">) {
  const keys = new Map<string, { x: string; key: Key; at: number }>();
  const keyOf = async (hostId: string, look: "cached" | "fresh") => {
    const now = +deps.clock.now();
    const known = keys.get(hostId);
    if (look === "cached" && known && now - known.at < KEY_FRESH_MS) return known.key;
    const host = await loadHost(deps.db, hostId);
    if (!host || host.publicKey === null || host.state === "retired") {
      keys.delete(hostId);
      return undefined;
    }
    const key =
      known?.x === host.publicKey
        ? known.key
        : await importJWK({ kty: "OKP", crv: "Ed25519", x: host.publicKey }, "EdDSA");
    keys.set(hostId, { x: host.publicKey, key, at: now });
    return key;
  };

  return async (request: {
    method: string;
    /** Path and query, as sent. */
    target: string;
    authorization: string | undefined;
    body: Uint8Array;
  }): Promise<
    Result<
      { hostId: string },
      Refusal<"unauthenticated" | "agent_token_invalid" | "identity_revoked">
    >
  > => {
    const token = /^Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/.exec(
      request.authorization ?? "",
    )?.[1];
    if (token === undefined) return refuse("unauthenticated", "an agent's signed token is needed");
    let hostId: string;
    try {
      hostId = z.uuid().parse(decodeJwt(token).iss);
    } catch {
      return refuse("agent_token_invalid", "the token names no host");
    }
    let claims = await verify(token, hostId, await keyOf(hostId, "cached"), deps.clock.now());
    // A host that has just enrolled again signs with a key that we may not have seen yet.
    if (claims === "wrong_key")
      claims = await verify(token, hostId, await keyOf(hostId, "fresh"), deps.clock.now());
    if (claims === "wrong_key")
      return refuse("identity_revoked", "signed by a key that is not this host's; enrol it again");
    if (claims === "invalid")
      return refuse("agent_token_invalid", "the token is expired, or not well formed");
    const bodyHash = createHash("sha256").update(request.body).digest("base64url");
    if (
      claims.exp - claims.iat > MOST_LIFE_S ||
      claims.htm !== request.method ||
      claims.htu !== request.target ||
      claims.bsha256 !== bodyHash
    )
      return refuse("agent_token_invalid", "the token is not for this request");
    return ok({ hostId });
  };
}

type Key = Awaited<ReturnType<typeof importJWK>>;

async function verify(
  token: string,
  hostId: string,
  key: Key | undefined,
  now: Date,
): Promise<z.infer<typeof Claims> | "wrong_key" | "invalid"> {
  if (!key) return "wrong_key";
  try {
    const verified = await jwtVerify(token, key, {
      algorithms: ["EdDSA"],
      audience: AGENT_AUDIENCE,
      issuer: hostId,
      clockTolerance: CLOCK_SKEW_S,
      currentDate: now,
    });
    const claims = Claims.parse(verified.payload);
    // Without this a token could be made today that opens something next year.
    return claims.iat > +now / 1000 + CLOCK_SKEW_S ? "invalid" : claims;
  } catch (error) {
    return error instanceof errors.JWSSignatureVerificationFailed ? "wrong_key" : "invalid";
  }
}
