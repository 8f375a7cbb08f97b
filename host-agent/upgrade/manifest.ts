import { flattenedVerify, importJWK } from "jose";
import { z } from "zod";
import { UpgradeError } from "./upgrade-error.ts";

/** As `HostFacts.agentVersion` has it. */
export const Version = z.string().regex(/^\d{1,5}\.\d{1,5}\.\d{1,5}$/);

/** A release's file is no larger: its Node is some 125 MB, and packs to 45. */
export const MOST_BYTES = 400_000_000;

/** What a release is made of, by platform (`linux-x64`: Node's `process.platform` and `process.arch`). */
export const ReleaseManifest = z.object({
  version: Version,
  /** Once this release has proved itself, nothing older runs after it, unless somebody on the host asks for that. */
  oldest: Version.optional(),
  files: z
    .array(
      z.object({
        platform: z.string().regex(/^[a-z0-9]+-[a-z0-9]+$/),
        /** Beside the manifest. A name alone: it leads nowhere else. */
        name: z.string().regex(/^[a-z0-9][A-Za-z0-9._-]{0,99}$/),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        bytes: z.int().positive().max(MOST_BYTES),
      }),
    )
    .min(1)
    .max(20),
});
export type ReleaseManifest = z.infer<typeof ReleaseManifest>;
export type ReleaseFile = ReleaseManifest["files"][number];

/** What the signature is over, so that no other text that the same key signed passes for a manifest. */
export const MANIFEST_TYPE = "berth-release";
export const SIGNED_BY = "EdDSA";

const SignedManifest = z.object({
  payload: z.string(),
  protected: z.string(),
  signature: z.string(),
});

/**
 * The manifest inside a signed one (RFC 7515, flattened), whose signature is over its exact bytes. `key` is the pinned one's x.
 * Throws `UpgradeError` when it is not signed by that key, or says what cannot be read.
 */
export async function openManifest(text: string, key: string): Promise<ReleaseManifest> {
  let payload: Uint8Array;
  try {
    const signed = SignedManifest.parse(JSON.parse(text));
    const publicKey = await importJWK({ kty: "OKP", crv: "Ed25519", x: key }, SIGNED_BY);
    const opened = await flattenedVerify(signed, publicKey, { algorithms: [SIGNED_BY] });
    if (opened.protectedHeader?.typ !== MANIFEST_TYPE) throw new Error("it is no manifest");
    payload = opened.payload;
  } catch (cause) {
    throw new UpgradeError(
      "not_signed",
      "the manifest is not signed by the key that this host has pinned",
      { cause },
    );
  }
  try {
    return ReleaseManifest.parse(JSON.parse(new TextDecoder().decode(payload)));
  } catch (cause) {
    throw new UpgradeError("bad_manifest", "the manifest cannot be read", { cause });
  }
}
