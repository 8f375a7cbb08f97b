import type { SecureContextOptions } from "node:tls";
import { z } from "zod";

/** What the receiving host of `npm run bench:move` is given, and what it says: where it listens, and what it has got. */
export const Given = z.object({
  by: z.enum(["floor", "ours"]),
  moveId: z.string(),
  key: z.instanceof(Uint8Array),
  path: z.string(),
});
export type Given = z.infer<typeof Given>;

export const Said = z.union([z.object({ port: z.int() }), z.object({ sha256: z.string() })]);
export type Said = z.infer<typeof Said>;

export const HOST = "127.0.0.1";
/** What both use: the floor has no other cipher, and no certificate to make. */
export const TLS: SecureContextOptions = {
  minVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256",
  ca: [],
};
