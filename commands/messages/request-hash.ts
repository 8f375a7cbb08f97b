import { createHash } from "node:crypto";
import { canonicalJson } from "#core/contracts/canonical-json.ts";

/** SHA-256 of a request, whatever the order of its fields: what an idempotency key is compared by. */
export const requestHash = (request: unknown): string =>
  createHash("sha256").update(canonicalJson(request)).digest("hex");
