import { createHash } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { v7 } from "uuid";
import { addHost } from "#commands/hosts/add-host.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { hostFacts } from "#test/builders.ts";
import type { ControlPlane } from "./control-plane.ts";
import { SYSTEM, valueOf } from "./world.ts";

export type AgentKey = Readonly<{ x: string; privateKey: CryptoKey }>;

export async function anAgentKey(): Promise<AgentKey> {
  const { publicKey, privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
  const { x } = await exportJWK(publicKey);
  if (x === undefined) throw new Error("the key has no public half");
  return { x, privateKey };
}

/** A host that is enrolled with a real key. */
export async function aSigningHost(
  cp: ControlPlane,
  locationId: string,
): Promise<{ hostId: string; key: AgentKey }> {
  const key = await anAgentKey();
  const host = { name: v7(), locationId, testOnly: false, cpuOvercommit: 4 };
  const { joinToken } = valueOf(await addHost(cp.deps, SYSTEM, host));
  const publicKey = { kty: "OKP", crv: "Ed25519", x: key.x } as const;
  const facts = hostFacts();
  const { hostId } = valueOf(await enrollHost(cp.deps, { joinToken, publicKey, facts }));
  return { hostId, key };
}

export type Call = Readonly<{ method: "GET" | "POST"; target: string; body?: string }>;

/** The token of one call; `over` forges its claims. */
export function signed(
  who: { hostId: string; key: AgentKey },
  call: Call,
  now: Date,
  over: Record<string, unknown> = {},
): Promise<string> {
  const iat = Math.floor(+now / 1000);
  const claims = {
    htm: call.method,
    htu: call.target,
    bsha256: createHash("sha256")
      .update(call.body ?? "")
      .digest("base64url"),
    iss: who.hostId,
    aud: "berth-agent-api",
    iat,
    exp: iat + 60,
    jti: v7(),
    ...over,
  };
  return new SignJWT(claims).setProtectedHeader({ alg: "EdDSA" }).sign(who.key.privateKey);
}

/** Sends a call with a token to the API in this process. */
export const send = (
  cp: ControlPlane,
  call: Call,
  token: string | undefined,
  headers: Record<string, string> = {},
): Promise<Response> =>
  cp.fetch(
    new Request(`http://berth.test${call.target}`, {
      method: call.method,
      headers: {
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(call.body === undefined ? {} : { body: call.body }),
    }),
  );
