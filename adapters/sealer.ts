import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import type { Sealer } from "#core/ports.ts";

const ALGORITHM = "aes-256-gcm";
const IV_BYTES = 12; // NIST SP 800-38D §5.2.1.1
const TAG_BYTES = 16;
/** Says which key and which layout a sealed text has, so that another may follow. */
const VERSION = "v1.";

/** AES-256-GCM under a key drawn from `secret`, which has at least 32 random bytes in whatever alphabet. */
export function createSealer(secret: string): Sealer {
  if (secret.length < 32) throw new Error("the sealing secret is too short");
  const key = new Uint8Array(hkdfSync("sha256", secret, "", "berth sealer v1", 32));
  return {
    seal(text, context) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv(ALGORITHM, key, iv).setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
      return VERSION + Buffer.concat([iv, cipher.getAuthTag(), body]).toString("base64url");
    },
    open(sealed, context) {
      if (!sealed.startsWith(VERSION)) throw new Error("not sealed by this sealer");
      const bytes = Buffer.from(sealed.slice(VERSION.length), "base64url");
      const body = bytes.subarray(IV_BYTES + TAG_BYTES);
      const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, IV_BYTES), {
        authTagLength: TAG_BYTES,
      })
        .setAAD(Buffer.from(context))
        .setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
      return Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8");
    },
  };
}
