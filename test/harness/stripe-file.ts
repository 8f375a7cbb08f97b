import { existsSync } from "node:fs";
import path from "node:path";

/** Stripe's own OpenAPI, cut; it lies beside the project and not in it (its README says what it is). */
export const STRIPE_FILE = path.resolve(import.meta.dirname, "../../../shared/stripe/openapi.json");

/** Why nothing can be held against it here; null: it is there. */
export const ABSENT = existsSync(STRIPE_FILE)
  ? null
  : `Stripe's own description is not at ${STRIPE_FILE}`;
