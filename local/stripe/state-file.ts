import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename } from "node:fs/promises";
import path from "node:path";
import { Stripe } from "stripe";
import { z } from "zod";
import type { Clock, Log } from "#core/ports.ts";
import type { SavedAnswer } from "./idempotency.ts";
import type { Dump } from "./store.ts";
import type { Delivery, Fault } from "./delivery.ts";

/** Everything that a restart must find again. */
export type SavedState = Readonly<{
  objects: Dump;
  answers: SavedAnswer[];
  webhooks: { waiting: Delivery[]; faults: Fault[] };
}>;

/** The state file cannot be read as what this stand-in wrote. Remove the file to begin anew. */
export class CorruptStateFile extends Error {
  override name = "CorruptStateFile";
  readonly path: string;
  constructor(file: string, reason: string, options?: ErrorOptions) {
    super(
      `The Stripe stand-in cannot read its state file ${file}: ${reason}. Remove it to begin anew.`,
      options,
    );
    this.path = file;
  }
}

const FORMAT = 1;
const DEBOUNCE_MS = 50;
const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

/**
 * The digest vouches for the state: it is what this program wrote, so that its shape need not be proven field by
 * field. The schema still names the outer shape.
 */
const Saved = z.strictObject({
  format: z.literal(FORMAT),
  sha256: z.string(),
  state: z.custom<SavedState>(
    (value) =>
      typeof value === "object" &&
      value !== null &&
      ["objects", "answers", "webhooks"].every((key) => key in value),
  ),
});

/** The saved state; null when there is no file yet. Throws `CorruptStateFile`. */
export async function readStateFile(file: string): Promise<SavedState | null> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw new CorruptStateFile(file, "it cannot be opened", { cause: error });
  }
  let json: unknown;
  try {
    json = JSON.parse(text, reviveDecimal);
  } catch (error) {
    throw new CorruptStateFile(file, "it is not JSON", { cause: error });
  }
  const parsed = Saved.safeParse(json);
  if (!parsed.success)
    throw new CorruptStateFile(file, "it is of another format", { cause: parsed.error });
  if (digest(JSON.stringify(parsed.data.state)) !== parsed.data.sha256)
    throw new CorruptStateFile(file, "its contents do not match their digest");
  return parsed.data.state;
}

/** Stripe's decimal fields all end alike, and are the one thing that JSON does not give back as it was. */
const reviveDecimal = (key: string, value: unknown): unknown =>
  key.endsWith("_decimal") && typeof value === "string" ? Stripe.Decimal.from(value) : value;

/** Writes the state a moment after it changed: to a temporary file, synced, then renamed over the old one. */
export class StateFile {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #capture: () => SavedState;
  readonly #closing = new AbortController();
  #dirty = false;
  #writing: Promise<void> | null = null;

  constructor(deps: { file: string; clock: Clock; log: Log; capture: () => SavedState }) {
    this.#file = deps.file;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#capture = deps.capture;
  }

  /** The state changed: it is on disk soon. A failure to write is logged, and thrown by `close`. */
  changed(): void {
    this.#dirty = true;
    if (this.#writing !== null || this.#closing.signal.aborted) return;
    this.#writing = this.#writeSoon();
    this.#writing.catch((error: unknown) =>
      this.#log.error("stripe_state_not_saved", { file: this.#file, error }),
    );
  }

  /** Writes what is left, and throws what went wrong. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#writing;
    if (this.#dirty) await this.#write();
  }

  async #writeSoon(): Promise<void> {
    let tookMs = 0;
    while (this.#dirty && !this.#closing.signal.aborted) {
      try {
        // A large state is written less often, so that writing never is most of the work.
        const pause = Math.max(DEBOUNCE_MS, 10 * tookMs);
        await this.#clock.sleep(pause, this.#closing.signal);
      } catch (error) {
        if (!this.#closing.signal.aborted) throw error;
      }
      const began = this.#clock.now().getTime();
      await this.#write();
      tookMs = this.#clock.now().getTime() - began;
    }
    this.#writing = null;
  }

  async #write(): Promise<void> {
    this.#dirty = false;
    const state = JSON.stringify(this.#capture());
    await mkdir(path.dirname(this.#file), { recursive: true });
    const temporary = `${this.#file}.new`;
    const handle = await open(temporary, "w", 0o600);
    try {
      await handle.writeFile(`{"format":${FORMAT},"sha256":"${digest(state)}","state":${state}}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, this.#file);
  }
}
