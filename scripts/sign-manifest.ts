import { FlattenedSign, importJWK } from "jose";
import { z } from "zod";
import { MANIFEST_TYPE, ReleaseManifest, SIGNED_BY } from "#host-agent/upgrade/manifest.ts";

/** A private Ed25519 key as a JWK (RFC 8037), as `npm run release-key` makes it. */
export const ReleaseKey = z.object({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: z.string(),
  d: z.string(),
});

/** The text of a signed manifest, which `openManifest` of the agent reads. */
export async function signManifest(
  manifest: ReleaseManifest,
  key: z.infer<typeof ReleaseKey>,
): Promise<string> {
  const payload = new TextEncoder().encode(JSON.stringify(ReleaseManifest.parse(manifest)));
  const signed = await new FlattenedSign(payload)
    .setProtectedHeader({ alg: SIGNED_BY, typ: MANIFEST_TYPE })
    .sign(await importJWK(key, SIGNED_BY));
  return `${JSON.stringify(signed)}\n`;
}
