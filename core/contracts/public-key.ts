import { z } from "zod";

/** The x of an Ed25519 public key's JWK (RFC 8037): 32 bytes as base64url. */
export const PublicKeyX = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
