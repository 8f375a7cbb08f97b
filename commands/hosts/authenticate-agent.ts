import { createHash } from "node:crypto";
import { decodeJwt, errors, importJWK, jwtVerify } from "jose";
import { z } from "zod";
import { CLOCK_SKEW_S, toldOffset } from "#core/hosts/clock-offset.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { loadHost } from "#db/hosts/hosts.ts";
import { spendAgentToken } from "#db/hosts/spent-agent-tokens.ts";
import type { Deps } from "#commands/deps.ts";

export const AGENT_AUDIENCE = "berth-agent-api";
const MOST_LIFE_S = 60;
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

type Refused = Refusal<
  | "unauthenticated"
  | "agent_token_invalid"
  | "agent_token_used"
  | "agent_clock_off"
  | "identity_revoked"
>;

/**
 * Makes the check of an agent's signature: a JWT signed by the host's enrolled Ed25519 key, at most 60 s long, and
 * bound to this method, path and body, so that a copied token can only repeat the very same request (RFC 9449 does
 * the same for people's tokens). The token is judged before the body is read (4b B7). What is repeated harms nobody, or has `uses` of `once`: its token is remembered (4b B4).
 */
export function createAgentAuthenticator(deps: Pick<Deps, "db" | "clock" | "log">) {
  const keys = new Map<string, KnownKey>();
  const keyOf = async (hostId: string, look: "cached" | "fresh"): Promise<KnownKey | undefined> => {
    const now = +deps.clock.now();
    const known = keys.get(hostId);
    if (look === "cached" && known && now - known.at < KEY_FRESH_MS) return known;
    const host = await loadHost(deps.db, hostId);
    if (!host || host.publicKey === null || host.state === "retired") {
      keys.delete(hostId);
      return undefined;
    }
    const key =
      known?.x === host.publicKey
        ? known.key
        : await importJWK({ kty: "OKP", crv: "Ed25519", x: host.publicKey }, "EdDSA");
    const fresh = { hostId: host.id, x: host.publicKey, key, at: now };
    keys.set(hostId, fresh);
    return fresh;
  };

  return async (request: {
    method: string;
    /** Path and query, as sent. */
    target: string;
    authorization: string | undefined;
  }): Promise<Result<SignedRequest, Refused>> => {
    const token = /^Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$/.exec(
      request.authorization ?? "",
    )?.[1];
    if (token === undefined) return refuse("unauthenticated", "an agent's signed token is needed");
    let issuer: string;
    try {
      issuer = z.uuid().parse(decodeJwt(token).iss);
    } catch {
      return refuse("agent_token_invalid", "the token names no host");
    }
    // However its id is spelt, a host is one row, one key and one queue: from here on the row's spelling counts.
    const spelt = issuer.toLowerCase();
    let host = await keyOf(spelt, "cached");
    let claims = await verify(token, issuer, host?.key);
    // A host that has just enrolled again signs with a key that we may not have seen yet.
    if (claims === "wrong_key") {
      host = await keyOf(spelt, "fresh");
      claims = await verify(token, issuer, host?.key);
    }
    if (claims === "wrong_key" || !host)
      return refuse("identity_revoked", "signed by a key that is not this host's; enrol it again");
    if (claims === "invalid") return refuse("agent_token_invalid", "the token is not well formed");
    const { hostId } = host;
    if (
      claims.exp < claims.iat ||
      claims.exp - claims.iat > MOST_LIFE_S ||
      claims.htm !== request.method ||
      claims.htu !== request.target
    )
      return notForThis();
    const nowS = Math.floor(+deps.clock.now() / 1000);
    // Ahead, a token could be made today that opens something next year.
    if (claims.iat > nowS + CLOCK_SKEW_S || claims.exp + CLOCK_SKEW_S <= nowS) {
      const offsetSeconds = Math.round(claims.iat - nowS);
      deps.log.error("host.clock_off", { host_id: hostId, offset_seconds: offsetSeconds });
      return refuse(
        "agent_clock_off",
        `the token was made ${toldOffset(offsetSeconds)} this control plane's time: set the host's clock`,
      );
    }
    const forBody: SignedRequest["forBody"] = async (body, uses) => {
      if (claims.bsha256 !== createHash("sha256").update(body).digest("base64url"))
        return notForThis();
      if (uses === "once") {
        const expiresAt = new Date((Math.ceil(claims.exp) + CLOCK_SKEW_S) * 1000);
        const used = await spendAgentToken(deps.db, { hostId, jti: claims.jti, expiresAt });
        if (used === "again")
          return refuse("agent_token_used", "this token has been used: sign another one");
      }
      return ok({ hostId });
    };
    return ok({ forBody });
  };
}

/** A request whose token is good for its method and path, now; its body has not been looked at. */
type SignedRequest = Readonly<{
  forBody: (
    body: Uint8Array,
    uses: "many" | "once",
  ) => Promise<Result<{ hostId: string }, Refusal<"agent_token_invalid" | "agent_token_used">>>;
}>;

const notForThis = () => refuse("agent_token_invalid", "the token is not for this request");

type Key = Awaited<ReturnType<typeof importJWK>>;
type KnownKey = Readonly<{ hostId: string; x: string; key: Key; at: number }>;

/** The claims of a token that this key has signed, at whatever time. */
async function verify(
  token: string,
  issuer: string,
  key: Key | undefined,
): Promise<z.infer<typeof Claims> | "wrong_key" | "invalid"> {
  if (!key) return "wrong_key";
  try {
    const claimed = Claims.parse(decodeJwt(token));
    await jwtVerify(token, key, {
      algorithms: ["EdDSA"],
      audience: AGENT_AUDIENCE,
      issuer,
      // Its times are judged by the caller, who says by how much they are off.
      currentDate: new Date(claimed.iat * 1000),
      clockTolerance: MOST_LIFE_S,
    });
    return claimed;
  } catch (error) {
    return error instanceof errors.JWSSignatureVerificationFailed ? "wrong_key" : "invalid";
  }
}
