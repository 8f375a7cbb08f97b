import { createHash } from "node:crypto";
import { ApiError, invalidRequest } from "./api-error.ts";

/** What is kept of an answered POST. */
export type SavedAnswer = Readonly<{
  key: string;
  path: string;
  parameters: string;
  status: number;
  body: string;
  requestId: string;
  /** Unix seconds. */
  savedAt: number;
}>;

const KEPT_SECONDS = 24 * 3600;
const LONGEST_KEY = 255;

/**
 * Stripe's idempotency (https://docs.stripe.com/api/idempotent_requests): the first answer is kept, errors included,
 * and given again; other parameters are refused. Parameters that fail validation are not kept.
 */
export class IdempotencyKeys {
  readonly #saved = new Map<string, SavedAnswer>();
  readonly #inFlight = new Set<string>();
  #onSave: () => void = () => {};

  /** Called after an answer was kept. */
  onSave(listener: () => void): void {
    this.#onSave = listener;
  }

  /** From the moment the headers are there until `leave`, a second request with the same key is refused. */
  enter(key: string): void {
    if (key.length > LONGEST_KEY)
      throw invalidRequest(`Idempotency keys have at most ${LONGEST_KEY} characters.`);
    if (this.#inFlight.has(key))
      throw invalidRequest(
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, " +
          `and the other request is still going through): ${key}. Please try again later.`,
        { code: "idempotency_key_in_use", status: 409 },
      );
    this.#inFlight.add(key);
  }

  leave(key: string): void {
    this.#inFlight.delete(key);
  }

  /** The kept answer, or undefined when the request is new; throws when the key stood for another request. */
  replay(key: string, path: string, parameters: string, now: number): SavedAnswer | undefined {
    this.#prune(now);
    const saved = this.#saved.get(key);
    if (saved === undefined) return undefined;
    if (saved.path !== path)
      throw mismatch(`used for the same endpoint they were first used for ('${saved.path}')`, key);
    if (saved.parameters !== digest(parameters))
      throw mismatch("used with the same parameters they were first used with", key);
    return saved;
  }

  save(answer: SavedAnswer): void {
    this.#saved.set(answer.key, { ...answer, parameters: digest(answer.parameters) });
    this.#onSave();
  }

  dump(): SavedAnswer[] {
    return [...this.#saved.values()];
  }

  load(answers: readonly SavedAnswer[]): void {
    for (const answer of answers) this.#saved.set(answer.key, answer);
  }

  #prune(now: number): void {
    for (const answer of this.#saved.values()) {
      // Kept in the order of time.
      if (answer.savedAt > now - KEPT_SECONDS) return;
      this.#saved.delete(answer.key);
    }
  }
}

/** Parameters are kept as a digest: enough to compare, nothing to leak. */
const digest = (parameters: string): string =>
  createHash("sha256").update(parameters).digest("base64url");

const mismatch = (what: string, key: string): ApiError =>
  new ApiError(400, {
    type: "idempotency_error",
    message:
      `Keys for idempotent requests can only be ${what}. ` +
      `Try using a key other than '${key}' if you meant to execute a different request.`,
  });
