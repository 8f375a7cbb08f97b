import { createHash } from "node:crypto";
import { exportJWK, generateKeyPair, importJWK, SignJWT } from "jose";
import { z } from "zod";
import type { EnrollRequest } from "#core/contracts/agent/channel.ts";
import type { Clock, IdSource } from "#core/ports.ts";
import type { ControlPlane, SignRequest } from "./control-plane.ts";
import { pinAtEnrolment } from "#host-agent/upgrade/release-key.ts";
import { loadSaved, save } from "#host-agent/state/saved.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

const FILE = "identity.json";
/** Whom the agent's tokens are for. */
const TOKEN_AUDIENCE = "berth-agent-api";
const TOKEN_SECONDS = 60;

/** The host's own Ed25519 key (RFC 8037), and what enrolling it gave. The private half never leaves the host. */
const Identity = z.object({
  key: z.object({
    kty: z.literal("OKP"),
    crv: z.literal("Ed25519"),
    x: z.string(),
    d: z.string(),
  }),
  enrolled: z
    .object({
      hostId: z.uuid(),
      identityEpoch: z.int().positive(),
      /** Left out by agents and control planes of before it was told. */
      installation: z.uuid().optional(),
    })
    .nullable(),
});
type Identity = z.infer<typeof Identity>;
export type EnrolledIdentity = Identity & { enrolled: NonNullable<Identity["enrolled"]> };

/** The identity of an enrolled host; null when this host is not enrolled. */
export async function loadIdentity(store: StateStore): Promise<EnrolledIdentity | null> {
  const identity = await loadSaved(store, FILE, Identity);
  return identity?.enrolled ? { ...identity, enrolled: identity.enrolled } : null;
}

/**
 * Makes a new key and enrols it, or goes on with the key of an enrolment that was cut short: the key is saved
 * before it is sent, so a lost answer can be asked for again with the same token and key.
 */
export async function enroll(
  store: StateStore,
  controlPlane: ControlPlane,
  request: Omit<EnrollRequest, "publicKey">,
): Promise<EnrolledIdentity> {
  const unfinished = await loadSaved(store, FILE, Identity);
  const key = unfinished && !unfinished.enrolled ? unfinished.key : await newKey();
  const pending: Identity = { key, enrolled: null };
  // A host that is enrolled keeps its key until the new one is taken.
  if (unfinished === null) await save(store, FILE, pending);
  const { kty, crv, x } = key;
  const publicKey = { kty, crv, x };
  const { releaseKey, ...enrolled } = await controlPlane.enroll({ ...request, publicKey });
  const identity = { key, enrolled };
  // First: who is enrolled does not ask again.
  await pinAtEnrolment(store, releaseKey);
  await save(store, FILE, identity);
  return identity;
}

async function newKey(): Promise<Identity["key"]> {
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const { kty, crv, x, d } = await exportJWK(privateKey);
  return Identity.shape.key.parse({ kty, crv, x, d });
}

/** Signs each request anew: method, target and the body's hash are claims, so a token serves one request only. */
export async function createSigner(
  identity: EnrolledIdentity,
  ports: { clock: Clock; ids: IdSource },
): Promise<SignRequest> {
  const key = await importJWK(identity.key, "EdDSA");
  return (method, target, body) => {
    const issuedAt = Math.floor(ports.clock.now().getTime() / 1000);
    return new SignJWT({
      htm: method,
      htu: target,
      bsha256: createHash("sha256").update(body).digest("base64url"),
    })
      .setProtectedHeader({ alg: "EdDSA" })
      .setIssuer(identity.enrolled.hostId)
      .setAudience(TOKEN_AUDIENCE)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + TOKEN_SECONDS)
      .setJti(ports.ids.newId())
      .sign(key);
  };
}
